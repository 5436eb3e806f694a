//! Alerts by mail, to a server that speaks SMTP.

use crate::world::{Counted, World, running, until};
use domain::{AlertChannel::Email, Spender, UserId, UserPatch, ports::Accounts as _};
use jiff::SignedDuration;
use mail_parser::MessageParser;
use monitoring::alerts::{MailSettings, MailTls, Mailer, Teller as _, limits::RETRY_DELAYS};
use std::{sync::Arc, time::Duration};
use testkit::{Mail, MailReply, MailSink, MailSinkPlan};

const LOGIN: (&str, &str) = ("steward", "hush-hush-hush");
const DAYS: SignedDuration = SignedDuration::from_hours(100 * 24);

fn settings(sink: &MailSink) -> MailSettings {
    MailSettings {
        host: "localhost".to_owned(),
        port: sink.port,
        tls: if sink.certificate.is_some() { MailTls::StartTls } else { MailTls::Off },
        credentials: None,
        from: "Steward <steward@example.com>".parse().unwrap(),
        operators: vec!["Ops <ops@example.com>".parse().unwrap()],
        certificate: sink.certificate.clone(),
    }
}

fn mailer(world: &World, settings: MailSettings) -> Mailer {
    Mailer::new(settings, world.store.clone()).unwrap()
}

fn recipients(taken: &[Mail]) -> Vec<&str> {
    let mut all: Vec<&str> = taken.iter().flat_map(|mail| &mail.to).map(String::as_str).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_users_alert_goes_to_the_user_and_to_the_operators_as_a_letter_that_people_understand() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan { tls: true, login: Some(LOGIN), port: None }).unwrap();
    let credentials = Some((LOGIN.0.to_owned(), LOGIN.1.into()));
    let mailer = mailer(&world, MailSettings { credentials, ..settings(&sink) });
    let user = world.user("ada@example.org").await;
    let alert = world.budget_alert(Spender::User(user), Some(user)).await;
    mailer.tell(&alert).await.unwrap();

    let taken = sink.taken();
    assert_eq!(recipients(&taken), ["ada@example.org", "ops@example.com"]);
    for mail in &taken {
        assert_eq!((mail.from.as_str(), mail.login.as_deref()), ("steward@example.com", Some("steward")));
        let letter = MessageParser::default().parse(mail.text.as_bytes()).unwrap();
        assert_eq!(letter.subject(), Some("[Steward] warning: 80 % of a monthly budget is spent"));
        assert_eq!(letter.message_id().unwrap(), format!("{}@example.com", alert.id));
        assert_eq!(letter.header_raw("Auto-Submitted").map(str::trim), Some("auto-generated"));
        let text = letter.body_text(0).unwrap();
        let head: Vec<&str> = text.lines().take(5).collect();
        let budget = format!("Budget:    user {user}");
        let expected = [
            "$8.012345 of $10.00 are spent: 80 % of the budget",
            "",
            &budget,
            "Period:    2026-01",
            "Reached:   80 %",
        ];
        assert_eq!(head, expected, "{text}");
        assert!(text.contains("2026-01-01 00:00:00 UTC"), "{text}");
    }
}

#[tokio::test]
async fn what_concerns_nobody_goes_to_the_operators_and_nobody_gets_it_twice() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan::default()).unwrap();
    let mailer = mailer(&world, settings(&sink));
    mailer.tell(&world.health_alert("database").await).await.unwrap();
    assert_eq!(recipients(&sink.taken()), ["ops@example.com"]);

    // An operator who is also the user, one who may not come in any more, and one who is not there.
    let operator = world.user("ops@example.com").await;
    let gone = world.user("gone@example.com").await;
    let disable = UserPatch { is_active: Some(false), ..UserPatch::default() };
    world
        .store
        .patch_user(
            gone,
            &disable,
            &domain::Expected::ANY,
            jiff::Timestamp::UNIX_EPOCH,
            &domain::Origin::system(),
        )
        .await
        .unwrap();
    for user in [operator, gone, UserId::new()] {
        mailer.tell(&world.budget_alert(Spender::User(user), Some(user)).await).await.unwrap();
    }
    assert_eq!(recipients(&sink.taken()), ["ops@example.com"; 4]);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_or_wants_it_later_is_tried_again() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan::default()).unwrap();
    let mailer = Arc::new(Counted::new(mailer(&world, settings(&sink))));
    let alerter = world.alerter(vec![mailer.clone()]);
    let (_tasks, cancelled) = running(&alerter);
    for (index, reply) in [MailReply::Refuse(451), MailReply::Refuse(550)].into_iter().enumerate() {
        sink.reply_with(reply.clone());
        let alert = world.health_alert(&format!("check {index}")).await;
        alerter.nudge();
        mailer.asked_times(2 * index + 1).await;
        until(async || (world.due(Email, RETRY_DELAYS[0]).await == [(alert.id, 1)]).then_some(())).await;
        assert_eq!(sink.taken().len(), index, "{reply:?}");
        sink.reply_with(MailReply::Take);
        world.clock.advance(RETRY_DELAYS[0] + SignedDuration::from_secs(1));
        alerter.nudge();
        until(async || (sink.taken().len() == index + 1).then_some(())).await;
        mailer.asked_times(2 * index + 2).await;
        until(async || world.due(Email, DAYS).await.is_empty().then_some(())).await;
    }
    cancelled.cancel();
}

#[tokio::test]
async fn a_server_that_comes_up_later_gets_what_it_missed() {
    let world = World::new();
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let nobody = MailSettings {
        host: "localhost".to_owned(),
        port: free,
        tls: MailTls::Off,
        credentials: None,
        from: "steward@example.com".parse().unwrap(),
        operators: vec!["ops@example.com".parse().unwrap()],
        certificate: None,
    };
    let mailer = Arc::new(Counted::new(mailer(&world, nobody)));
    let alerter = world.alerter(vec![mailer.clone()]);
    let (_tasks, cancelled) = running(&alerter);
    let alert = world.health_alert("database").await;
    alerter.nudge();
    mailer.asked_times(1).await;
    until(async || (world.due(Email, RETRY_DELAYS[0]).await == [(alert.id, 1)]).then_some(())).await;
    let sink = MailSink::start(MailSinkPlan { port: Some(free), ..MailSinkPlan::default() }).unwrap();
    world.clock.advance(RETRY_DELAYS[0] + SignedDuration::from_secs(1));
    alerter.nudge();
    until(async || (sink.taken().len() == 1).then_some(())).await;
    cancelled.cancel();
}

#[tokio::test]
async fn a_recipient_who_is_refused_keeps_nobody_from_theirs_and_the_others_get_it_once() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan::default()).unwrap();
    let mailer = mailer(&world, settings(&sink));
    let user = world.user("full@example.org").await;
    let alert = world.budget_alert(Spender::User(user), Some(user)).await;
    sink.reply_with(MailReply::RefuseRecipient("full@example.org".to_owned(), 552));
    for _ in 0..2 {
        let error = mailer.tell(&alert).await.unwrap_err().to_string();
        assert!(error.contains("552") && !error.contains("full@"), "{error}");
    }
    assert_eq!(recipients(&sink.taken()), ["ops@example.com"]);
    sink.reply_with(MailReply::Take);
    mailer.tell(&alert).await.unwrap();
    assert_eq!(recipients(&sink.taken()), ["full@example.org", "ops@example.com"]);
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_who_it_should_be_or_does_not_know_us() {
    let world = World::new();
    let alert = world.health_alert("database").await;
    let sink = MailSink::start(MailSinkPlan { tls: true, login: Some(LOGIN), port: None }).unwrap();
    let plain = MailSink::start(MailSinkPlan::default()).unwrap();
    let login = |password: &str| Some((LOGIN.0.to_owned(), password.into()));
    for (named, settings) in [
        (
            "a certificate that nobody vouches for",
            MailSettings { certificate: None, credentials: login(LOGIN.1), ..settings(&sink) },
        ),
        (
            "a name that the certificate is not for",
            MailSettings { host: "127.0.0.1".to_owned(), credentials: login(LOGIN.1), ..settings(&sink) },
        ),
        ("a wrong password", MailSettings { credentials: login("wrong-wrong"), ..settings(&sink) }),
        ("no TLS where it is wanted", MailSettings { tls: MailTls::StartTls, ..settings(&plain) }),
        ("no login where it is wanted", settings(&sink)),
    ] {
        let error = mailer(&world, settings).tell(&alert).await.expect_err(named).to_string();
        assert!(!error.contains("hush") && !error.contains("wrong-wrong"), "{named}: {error}");
    }
    assert_eq!((sink.taken(), plain.taken()), (vec![], vec![]));
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan::default()).unwrap();
    sink.reply_with(MailReply::Slow(Duration::from_millis(1500)));
    mailer(&world, settings(&sink)).tell(&world.health_alert("database").await).await.unwrap();
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn no_name_begins_a_header_or_a_line_of_its_own() {
    let world = World::new();
    let sink = MailSink::start(MailSinkPlan::default()).unwrap();
    let mailer = mailer(&world, settings(&sink));
    let evil = "x\r\nBcc: everybody@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\u{2028}Ünïcode";
    mailer.tell(&world.budget_alert(Spender::Team(evil.to_owned()), None).await).await.unwrap();
    mailer.tell(&world.health_alert(evil).await).await.unwrap();
    let taken = sink.taken();
    assert_eq!(recipients(&taken), ["ops@example.com"; 2]);
    for mail in &taken {
        let letter = MessageParser::default().parse(mail.text.as_bytes()).unwrap();
        assert!(letter.bcc().is_none() && letter.subject().is_some(), "{}", mail.text);
        assert_eq!(mail.from, "steward@example.com");
        let text = letter.body_text(0).unwrap();
        assert!(text.contains("Ünïcode"), "{text}");
        assert!(text.lines().all(|line| !line.starts_with("Bcc:") && !line.starts_with("MAIL")), "{text}");
    }
}
