//! Finding the server's binaries: Debian and Fedora keep them off the PATH, side by side for each
//! major version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::EmbeddedError;
use crate::config;

/// The oldest and the newest major version that the schema is tested with.
pub(super) const OLDEST: u32 = 14;
pub(super) const NEWEST: u32 = 18;

/// Where versions lie side by side: a folder, the prefix of its entries, and the way from there to
/// the binaries.
const SIDE_BY_SIDE: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/usr/libexec", "postgresql", ""),
];

/// The folder with `initdb` and `postgres`, and their major version.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the server that fits the data: the one of `wanted`'s major version, or the newest
    /// supported one.
    pub(super) fn find(
        bin_dir: Option<&Path>,
        wanted: Option<u32>,
        data: &Path,
    ) -> Result<Self, EmbeddedError> {
        let found = match bin_dir {
            Some(dir) => {
                let wrong = |why| EmbeddedError::WrongBinDir { dir: dir.to_owned(), why };
                vec![Self::at(dir).map_err(wrong)?]
            }
            None => usual_places().iter().filter_map(|dir| Self::at(dir).ok()).collect(),
        };
        choose(found, wanted, data)
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// The server in this folder, or why there is none.
    fn at(dir: &Path) -> Result<Self, String> {
        let dir = dir.canonicalize().map_err(|error| error.to_string())?;
        if !dir.join("initdb").is_file() {
            return Err("it has no `initdb`".into());
        }
        let output = Command::new(dir.join("postgres")).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run `postgres`: {error}"))?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout));
        let major =
            major.ok_or_else(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
        Ok(Self { dir, major })
    }
}

fn choose(
    found: Vec<Binaries>,
    wanted: Option<u32>,
    data: &Path,
) -> Result<Binaries, EmbeddedError> {
    let found_major = found.iter().map(|it| it.major).max().ok_or(EmbeddedError::NoBinaries)?;
    // Reversed, since of equals the last is taken, and the first found is the better one.
    let newest = (found.into_iter().rev())
        .filter(|it| (OLDEST..=NEWEST).contains(&it.major))
        .max_by_key(|it| (Some(it.major) == wanted, it.major))
        .ok_or(EmbeddedError::UnsupportedMajor { found: found_major })?;
    match wanted {
        Some(data_major) if data_major != newest.major => Err(EmbeddedError::MajorDiffers {
            dir: data.to_owned(),
            data: data_major,
            server: newest.major,
        }),
        _ => Ok(newest),
    }
}

/// Reads `15` out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split(") ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    for (folder, prefix, bin) in SIDE_BY_SIDE {
        let entries = Path::new(folder).read_dir().into_iter().flatten().flatten();
        let versions = entries.filter(|it| it.file_name().to_string_lossy().starts_with(prefix));
        places.extend(versions.map(|it| it.path().join(bin)));
    }
    places.push("/usr/local/pgsql/bin".into());
    places.extend(config::search_path());
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(major: u32) -> Binaries {
        Binaries { dir: PathBuf::new(), major }
    }

    #[test]
    fn reads_major_versions() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn takes_the_newest_supported_server_for_new_data() {
        let chosen = choose(vec![server(15), server(17), server(99)], None, Path::new("x"));
        assert_eq!(chosen.expect("17 is supported").major, 17);
    }

    #[test]
    fn takes_the_server_that_wrote_the_data() {
        let chosen = choose(vec![server(17), server(15)], Some(15), Path::new("x"));
        assert_eq!(chosen.expect("15 is here").major, 15);
    }

    #[test]
    fn says_what_to_do_when_no_server_fits() {
        let refused = |found, wanted| {
            choose(found, wanted, Path::new("x")).expect_err("must be refused").to_string()
        };
        let none = refused(vec![], None);
        for package in [
            "apt-get install postgresql",
            "dnf install postgresql-server",
            "brew install postgresql@17",
        ] {
            assert!(none.contains(package), "{none}");
        }
        assert!(refused(vec![server(12)], None).contains("versions 14 to 18 are supported"));
        assert!(refused(vec![server(17)], Some(15)).contains("pg_upgrade"));
    }
}
