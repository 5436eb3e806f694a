//! The doctor, on an installation that is well and on some that are not.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use sdk_runtime::{
    AgentOptions, Containment, Error, Jail, cli_places,
    doctor::{Check, DoctorOptions, Report, Severity, doctor},
    find_cli,
};

use crate::bench::{Bench, cli};

async fn examine(options: AgentOptions) -> Report {
    doctor(&DoctorOptions::new(options)).await
}

fn severity(report: &Report, check: Check) -> Severity {
    report.of(check).map(|finding| finding.severity()).max().unwrap_or_else(|| panic!("{check:?}: {report}"))
}

/// What an error advises.
fn advice(report: &Report, check: Check) -> String {
    assert!(!report.is_healthy(), "{report}");
    let finding = report.of(check).find(|finding| finding.severity() == Severity::Error);
    finding.and_then(|finding| finding.advice()).unwrap_or_else(|| panic!("{check:?}: {report}")).to_owned()
}

fn script(bench: &Bench, text: &str) -> PathBuf {
    let path = bench.path("cli");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_sound_installation_is_found_sound() {
    let bench = Bench::new().await;
    let report = examine(bench.options()).await;
    assert!(report.is_healthy(), "{report}");
    for check in [
        Check::Cli,
        Check::Version,
        Check::Cwd,
        Check::ConfigDir,
        Check::Handshake,
        Check::Hooks,
        Check::Credentials,
    ] {
        assert_eq!(severity(&report, check), Severity::Ok, "{report}");
    }
    assert!(bench.model.requests().is_empty(), "the model was not asked anything");
    assert!(!bench.path("config/projects").exists(), "there is no session of it");
    bench.assert_nothing_left().await;
    let text = report.to_string();
    assert!(text.starts_with(&format!("ok       the agent CLI is {}", cli().display())), "{text}");

    let mut without = bench.options();
    without.env.remove("ANTHROPIC_API_KEY");
    let report = examine(without).await;
    assert!(advice(&report, Check::Credentials).contains("ANTHROPIC_API_KEY"), "{report}");
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_named_with_what_to_do() {
    let bench = Bench::new().await;
    let base = bench.options();

    let report = examine(base.clone().with_cli("/nowhere/claude")).await;
    assert!(advice(&report, Check::Cli).contains("npm install"), "{report}");
    assert!(report.to_string().contains("looked at /nowhere/claude"), "{report}");

    let report = examine(base.clone().with_cli(bench.path("home"))).await;
    assert!(report.to_string().contains("it is a directory"), "{report}");
    assert!(advice(&report, Check::Runs).contains("mode"), "{report}");

    let report = examine(base.clone().with_cli(script(&bench, "#!/nowhere/sh\n"))).await;
    assert!(report.to_string().contains("interpreter"), "{report}");

    let report = examine(base.clone().with_cli(script(&bench, "#!/bin/sh\necho 2.1.100\n"))).await;
    assert!(advice(&report, Check::Version).contains("update"), "{report}");

    let report = examine(base.clone().with_cli(script(&bench, "#!/bin/sh\necho hello\n"))).await;
    assert!(advice(&report, Check::Version).contains("--version"), "{report}");

    let report = examine(base.clone().with_cwd("/nowhere")).await;
    assert!(advice(&report, Check::Cwd).contains("make it"), "{report}");

    let mut options = base.clone();
    options.env.insert("CLAUDE_CONFIG_DIR".to_owned(), "/dev/null/config".to_owned());
    let report = examine(options).await;
    assert!(advice(&report, Check::ConfigDir).contains("CLAUDE_CONFIG_DIR"), "{report}");

    let jail = Jail::default().with_bwrap("/nowhere/bwrap");
    let report = examine(base.clone().with_containment(Containment::default().with_jail(Some(jail)))).await;
    assert!(advice(&report, Check::Jail).contains("install bubblewrap"), "{report}");

    // Speaks well of itself and then does not speak.
    let mute = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 9.9.9; exit; }\necho 'no licence' >&2; exit 3\n";
    let report = examine(base.clone().with_cli(script(&bench, mute))).await;
    assert!(advice(&report, Check::Handshake).contains("by hand"), "{report}");
    assert!(report.to_string().contains("no licence"), "{report}");

    let blind = r#"#!/bin/sh
[ "$1" = --version ] && { echo 9.9.9; exit; }
read line
echo '{"type":"control_response","response":{"subtype":"success","request_id":"req_1","response":{"claude_code_version":"9.9.9"}}}'
read line
"#;
    let report = examine(base.with_cli(script(&bench, blind))).await;
    assert!(advice(&report, Check::Hooks).contains("no protection"), "{report}");
    bench.assert_nothing_left().await;
}

#[test]
fn the_cli_is_found_by_path_by_name_and_where_installers_put_it() {
    assert_eq!(find_cli(Some(&cli())).unwrap(), cli());
    assert!(find_cli(Some("sh".as_ref())).unwrap().is_absolute());
    let error = find_cli(Some("/nowhere/claude".as_ref())).unwrap_err();
    assert!(matches!(error, Error::CliNotFound { .. }), "{error:?}");
    assert!(find_cli(Some("/etc/passwd".as_ref())).is_err(), "it cannot be executed");
    let places = cli_places(None);
    assert!(places.iter().any(|place| place.ends_with(".local/bin/claude")), "{places:?}");
    assert!(places.contains(&"/usr/local/bin/claude".into()), "{places:?}");
}
