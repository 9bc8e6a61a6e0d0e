//! The Debian package holds what `make dist` and docs/running.md promise.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::{TempDir, tempdir};

/// Whether this machine can make packages.
fn makes_packages() -> bool {
    let able = Command::new("dpkg-deb").arg("--version").output().is_ok();
    if !able {
        eprintln!("not tried: this machine has no dpkg-deb");
    }
    able
}

fn pack(binary: &Path, folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/debian/package");
    let mut pack = Command::new(script);
    // A binary with debug information takes long to compress.
    pack.args([binary, folder]).env("COMPRESSION", "none").output().unwrap()
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A package of the binary under test, and the tree that is unpacked from it.
struct Package {
    file: PathBuf,
    tree: PathBuf,
    _folder: TempDir,
}

impl Package {
    fn made() -> Self {
        let folder = tempdir().unwrap();
        let packed = text(pack(Path::new(env!("CARGO_BIN_EXE_reveille")), folder.path()));
        let (file, tree) = (PathBuf::from(packed.trim()), folder.path().join("tree"));
        text(Command::new("dpkg-deb").arg("--extract").args([&file, &tree]).output().unwrap());
        Self { file, tree, _folder: folder }
    }

    fn field(&self, name: &str) -> String {
        let asked = Command::new("dpkg-deb").arg("--field").arg(&self.file).arg(name).output();
        text(asked.unwrap()).trim().to_owned()
    }

    fn control(&self, name: &str) -> String {
        text(
            Command::new("dpkg-deb")
                .args(["--info".as_ref(), self.file.as_os_str(), name.as_ref()])
                .output()
                .unwrap(),
        )
    }

    fn read(&self, path: &str) -> String {
        let path = self.tree.join(path.trim_start_matches('/'));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn reveille(&self) -> Command {
        let mut reveille = Command::new(self.tree.join("usr/bin/reveille"));
        reveille.env_clear().current_dir(&self.tree);
        reveille
    }
}

/// The value of a setting in a unit.
fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.next().unwrap_or_else(|| panic!("the unit has no {name}"))
}

#[test]
fn the_debian_package_holds_a_service_that_systemd_can_start() {
    if !makes_packages() {
        return;
    }
    let package = Package::made();
    let version = env!("CARGO_PKG_VERSION");
    let architecture = text(Command::new("dpkg").arg("--print-architecture").output().unwrap());
    let name = format!("reveille_{version}_{}.deb", architecture.trim());
    assert_eq!(package.file.file_name().unwrap().to_str(), Some(name.as_str()));
    let fields = ["Version", "Architecture", "Recommends"].map(|it| package.field(it));
    assert_eq!(fields[..2], [version, architecture.trim()]);
    assert!(fields[2].starts_with("postgresql"), "{fields:?}");
    let depends = package.field("Depends");
    let least = depends
        .split("libc6 (>= 2.")
        .nth(1)
        .and_then(|it| it.split(')').next()?.parse::<u32>().ok());
    assert!((17..100).contains(&least.unwrap_or_default()), "{depends}");

    let told = text(package.reveille().arg("--version").output().unwrap());
    assert_eq!(told, format!("reveille {version}\n"));
    let reference = text(package.reveille().args(["config", "--default"]).output().unwrap());
    assert_eq!(package.read("/usr/share/doc/reveille/reveille.toml"), reference);
    for path in ["bash-completion/completions/reveille", "zsh/vendor-completions/_reveille"] {
        assert!(package.read(&format!("/usr/share/{path}")).contains("_reveille"), "{path}");
    }

    let unit = package.read("/usr/lib/systemd/system/reveille.service");
    let start = value(&unit, "ExecStart").split_once(' ').unwrap();
    assert_eq!(start, ("/usr/bin/reveille", "serve"));
    let account = package.read("/usr/lib/sysusers.d/reveille.conf");
    assert!(account.starts_with(&format!("u {} ", value(&unit, "User"))), "{account}");
    assert!(package.tree.join(&value(&unit, "WorkingDirectory")[1..]).is_dir());
    assert!(package.control("postinst").contains("systemd-sysusers"));
}

#[test]
fn the_secrets_of_the_debian_package_are_kept_and_read_by_root_alone() {
    if !makes_packages() {
        return;
    }
    let package = Package::made();
    let unit = package.read("/usr/lib/systemd/system/reveille.service");
    let path = value(&unit, "EnvironmentFile").trim_start_matches('-');
    assert_eq!(package.control("conffiles"), format!("{path}\n"));
    let listed =
        text(Command::new("dpkg-deb").arg("--contents").arg(&package.file).output().unwrap());
    let line = listed.lines().find(|line| line.ends_with(path)).unwrap();
    assert!(line.starts_with("-rw------- root/root "), "{line}");
    let mode = fs::metadata(package.tree.join(&path[1..])).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // The service takes each line that an administrator may take the # off, but not the token that stands there.
    let text = package.read(path);
    let lines = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let lines: Vec<_> = lines.filter(|(name, _)| !name.contains(' ')).collect();
    assert!(lines.len() >= 3, "{text}");
    let config = |token: Option<&'static str>| {
        let mut config = package.reveille();
        config.arg("config").envs(lines.iter().copied());
        config
            .env("REVEILLE_DATA_DIR", "/var/lib/reveille")
            .envs(token.map(|it| ("REVEILLE_AUTH_TOKENS", it)));
        config.output().unwrap()
    };
    let taken = config(Some("0123456789abcdef"));
    assert!(taken.status.success(), "{taken:?}");
    let refused = config(None);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("auth_tokens"), "{refused:?}");
}

#[test]
fn a_binary_of_another_version_is_not_packed() {
    if !makes_packages() {
        return;
    }
    let folder = tempdir().unwrap();
    let binary = folder.path().join("reveille");
    fs::write(&binary, "#!/bin/sh\necho reveille 999.0.0\n").unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = pack(&binary, folder.path());
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("999.0.0, not the"), "{refused:?}");
}
