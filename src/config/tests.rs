//! Layers, origins, and what is said about mistakes.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn inputs(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Inputs {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    // Kept, because it is read after this returns; the system's own cleaning takes care of it.
    let directory = tempfile::tempdir().unwrap().keep();
    std::fs::write(directory.join("reveille.toml"), file).unwrap();
    Inputs { file: None, directory, environment: owned(environment), flags: owned(flags) }
}

fn problems(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    let error = Config::load(&inputs(file, environment, flags)).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn each_layer_goes_over_the_one_before_and_is_remembered() {
    let file = "workers = 1\npoll_interval_seconds = 0.5\ncrash_budget = 4\nqueues = ['a', 'b']";
    let environment =
        [("REVEILLE_WORKERS", "2"), ("REVEILLE_CRASH_BUDGET", "5"), ("HOME", "/root")];
    let inputs = inputs(file, &environment, &[("workers", "3")]);
    let Loaded { config, sources } = Config::load(&inputs).unwrap();

    assert_eq!((config.workers, config.crash_budget), (3, 5));
    assert_eq!(config.poll_interval, Duration::from_millis(500));
    assert_eq!(config.queues, ["a", "b"]);
    assert_eq!(sources.of("workers").to_string(), "--workers");
    assert_eq!(sources.of("crash_budget").to_string(), "REVEILLE_CRASH_BUDGET");
    assert_eq!(sources.of("queues"), ConfigSource::File(inputs.directory.join("reveille.toml")));
    assert_eq!(sources.of("listen"), ConfigSource::Default);
    assert!(!config.instance_name.is_empty());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let file = "wrokers = 1\npool_size = 'four'\ncrash_budget = 2";
    let environment =
        [("REVEILLE_LISTN", "0.0.0.0:1"), ("REVEILLE_MIGRATE", "maybe"), ("REVEILLE_URL", "x")];
    let found = problems(file, &environment, &[("workers", "10001")]);
    for expected in [
        "did you mean workers?",
        "pool_size (from ",
        "is text in quotes; write a whole number from 1 to 200, bare",
        "2 is out of range; write a whole number from 3 to 100",
        "REVEILLE_LISTN is not a setting; did you mean REVEILLE_LISTEN?",
        "migrate (from REVEILLE_MIGRATE) \"maybe\" is neither yes nor no; write true or false",
        "workers (from --workers) 10001 is out of range; write a whole number from 0 to 10000",
    ] {
        assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn the_database_may_come_from_the_name_that_everybody_uses() {
    let load = |environment: &[(&str, &str)]| {
        let loaded = Config::load(&inputs("", environment, &[])).unwrap();
        let source = loaded.sources.of("database_url").to_string();
        (loaded.config.database_url.map(|url| url.expose().to_owned()), source)
    };
    let (plain, own) =
        (("DATABASE_URL", "postgres://a/x"), ("REVEILLE_DATABASE_URL", "postgres://b/x"));
    assert_eq!(load(&[plain]), (Some(plain.1.to_owned()), plain.0.to_owned()));
    assert_eq!(load(&[own, plain]), (Some(own.1.to_owned()), own.0.to_owned()));
    assert_eq!(load(&[("DATABASE_URL", " ")]), (None, "default".to_owned()));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let inputs = Inputs { file: Some(PathBuf::from("/no/such.toml")), ..Inputs::default() };
    let error = Config::load(&inputs).unwrap_err().to_string();
    assert!(error.contains("/no/such.toml cannot be read"), "{error}");
}

#[test]
fn broken_toml_is_named_by_its_line_and_not_quoted() {
    let found = problems("workers = 1\nauth_tokens = [hush]\n", &[], &[]);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("is no TOML: line 2") && !found[0].contains("hush"), "{found:?}");
}

#[test]
fn only_loopback_is_open_without_a_token() {
    let remote = ("REVEILLE_LISTEN", "0.0.0.0:8000");
    let found = problems("", &[remote], &[]);
    assert!(found[0].starts_with("listen (from REVEILLE_LISTEN) 0.0.0.0:8000 would"), "{found:?}");

    let tokens = ("REVEILLE_AUTH_TOKENS", "0123456789abcdef,another-of-0123456789");
    assert!(Config::load(&inputs("", &[remote, tokens], &[])).is_ok());
    let allowed = [("allow_remote_without_token", "true")];
    assert!(Config::load(&inputs("", &[remote], &allowed)).is_ok());
    assert!(Config::load(&inputs("listen = '[::1]:8000'", &[], &[])).is_ok());
}

#[test]
fn the_times_of_death_fit_each_other() {
    let found = problems("heartbeat_seconds = 4", &[], &[]);
    assert_eq!(
        found,
        ["lost_after_seconds (from default) 10 is less than three times heartbeat_seconds (4); \
          write at least 12, or a smaller heartbeat_seconds"]
    );
    let quick = "heartbeat_seconds = 0.1\nlost_after_seconds = 0.3";
    assert!(Config::load(&inputs(quick, &[], &[])).is_ok());
    let url = |seconds: u32| format!("postgres://hush@a,b/x?connect_timeout={seconds}");
    assert_eq!(
        problems("", &[("DATABASE_URL", &url(10))], &[]),
        ["database_url (from DATABASE_URL) has connect_timeout=10, which is not less than \
          lost_after_seconds (10): while a host is silent, this instance would count as lost; \
          write a smaller connect_timeout, or a larger lost_after_seconds"]
    );
    assert!(Config::load(&inputs("", &[("DATABASE_URL", &url(9))], &[])).is_ok());
}

#[test]
fn the_delay_of_a_shutdown_fits_its_grace() {
    let found = problems("", &[("REVEILLE_SHUTDOWN_DELAY_SECONDS", "26")], &[]);
    assert_eq!(
        found,
        ["shutdown_delay_seconds (from REVEILLE_SHUTDOWN_DELAY_SECONDS) 26 is more than \
          shutdown_grace_seconds (25), after which this instance is gone; write at most 25, or a \
          larger shutdown_grace_seconds"]
    );
    let both = "shutdown_delay_seconds = 26\nshutdown_grace_seconds = 26";
    for file in [both, "shutdown_grace_seconds = 1"] {
        assert!(Config::load(&inputs(file, &[], &[])).is_ok(), "{file}");
    }
}

#[test]
fn a_mistake_does_not_draw_a_second_one_after_it() {
    let found = problems("lost_after_seconds = 'x'\nheartbeat_seconds = 30", &[], &[]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn combinations_that_cannot_work_are_refused() {
    for (file, setting) in [
        ("pooler = true", "pooler"),
        ("listen_database_url = 'postgres://a/x'", "listen_database_url"),
        ("queues = ['Mail']", "queues"),
        ("auth_tokens = ['two words of some length']", "auth_tokens"),
        ("log = 'reveille=loud'", "log"),
        ("allowed_hosts = ['http://jobs.example.org']", "allowed_hosts"),
        ("allowed_hosts = ['jobs.example.org:8000']", "allowed_hosts"),
        ("public_url = 'jobs.example.org'", "public_url"),
    ] {
        let error = Config::load(&inputs(file, &[], &[])).unwrap_err();
        let settings: Vec<_> = error.problems.iter().map(|it| it.setting.as_str()).collect();
        assert_eq!(settings, [setting]);
    }
}

#[test]
fn secrets_are_masked_wherever_a_configuration_is_shown() {
    let file = "database_url = 'postgres://me:hush@db/x'
auth_tokens = ['hush-hush-hush-hush', 'hush2-hush2-hush2']";
    let config = Config::load(&inputs(file, &[], &[])).unwrap().config;
    let shown = SETTINGS.iter().map(|setting| (setting.show)(&config).to_string());
    let all = format!("{config:?} {}", shown.collect::<String>());
    assert!(!all.contains("hush"), "{all}");
    assert!(all.contains("postgres://me:***@db:5432/x") && all.contains("[***, ***]"), "{all}");
}

#[test]
fn every_weak_token_and_every_wrong_queue_is_told_at_once_and_no_token_is_quoted() {
    let file = "auth_tokens = ['hunter2', '0123456789abcdef', 'two words of some length', 'a b']
queues = ['Mail', 'ok', 'a b']
workers = 10001";
    let found = problems(file, &[], &[]);
    let told: Vec<_> = found.iter().map(|line| line.split_once(") ").unwrap().1).collect();
    let short = "make it at least 16 characters long; openssl rand -hex 32 makes one";
    let odd = "use letters, digits and - . _ ~ + / = only";
    assert_eq!(
        told,
        [
            "10001 is out of range; write a whole number from 0 to 10000".to_owned(),
            format!("has a token that can be guessed (number 1); {short}"),
            format!("has a token that cannot be sent in a header (number 3); {odd}"),
            format!("has a token that can be guessed (number 4); {short}"),
            format!("has a token that cannot be sent in a header (number 4); {odd}"),
            "\"Mail\" is not a queue's name; write 1 to 64 of `a-z 0-9 _ - .` for each".to_owned(),
            "\"a b\" is not a queue's name; write 1 to 64 of `a-z 0-9 _ - .` for each".to_owned(),
        ]
    );
    assert!(!found.concat().contains("hunter2"), "{found:#?}");
}

#[test]
fn what_kubernetes_says_of_a_service_beside_is_no_mistake() {
    let of_services = [
        ("REVEILLE_PORT", "tcp://10.96.0.7:8000"),
        ("REVEILLE_SERVICE_HOST", "10.96.0.7"),
        ("REVEILLE_PORT_8000_TCP_ADDR", "10.96.0.7"),
        ("REVEILLE_API_SERVICE_PORT_HTTP", "8000"),
        ("REVEILLE_WORKERS", "2"),
    ];
    assert_eq!(Config::load(&inputs("", &of_services, &[])).unwrap().config.workers, 2);
    let found = problems("", &[("REVEILLE_PORT", "9000")], &[]);
    assert!(found[0].starts_with("REVEILLE_PORT is not a setting"), "{found:?}");
}
