//! The chain of the audit log: its text is what it always was, and no change of it goes unseen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::{
    Actor, AuditEntry, AuditEvent, AuditHead, AuditKey, Origin, Source, UserId,
    audit::{Damage, Fact, Fault, Notice, Verified, Verifier},
};
use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

const KEY: &[u8] = b"the secret key of the server, long enough";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap() + SignedDuration::from_secs(second)
}

/// A chain with something in every field.
fn chain(length: u64) -> Vec<AuditEntry> {
    let (key, mut head) = (AuditKey::derive(KEY), AuditHead::EMPTY);
    let source =
        Source { ip_address: Some("203.0.113.9".parse().unwrap()), request_id: Some("r-1".to_owned()) };
    let origin = Origin { actor: Actor::User { user_id: UserId(Uuid::from_u128(7)) }, source };
    let events = (1..=length).map(|n| {
        AuditEvent::new("decision.deny", &origin, at(i64::try_from(n).unwrap()))
            .about("decision", format!("é \" \\ \n {n}"))
            .in_session(domain::SessionId(Uuid::from_u128(n.into())))
            .with("rule", "a rule")
            .with("attempts", Fact::Number(3))
            .with("is_first", Fact::Flag(true))
            .with("names", Fact::List(vec!["b".to_owned(), "a".to_owned()]))
    });
    let following = |event| {
        let entry = AuditEntry::following(head, event, Some(&key)).unwrap();
        head = entry.head();
        entry
    };
    events.map(following).collect()
}

fn lines(entries: &[AuditEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.line().unwrap()).collect()
}

fn verify(lines: &[impl AsRef<str>], verifier: Verifier) -> Result<Verified, Damage> {
    let mut verifier = verifier.signed_with(vec![AuditKey::derive(KEY)]);
    for line in lines {
        verifier.take_line(line.as_ref())?;
    }
    verifier.finish()
}

/// Hashes that were computed once hold for ever, so this text may never change. Computed with Python's hashlib and hmac.
#[test]
fn the_text_and_hash_of_an_entry_are_these() {
    let entry = chain(1).remove(0);
    assert_eq!(
        entry.line().unwrap(),
        concat!(
            r#"{"action":"decision.deny","actor":{"type":"user","user_id":"00000000-0000-0000-0000-000000000007"},"#,
            r#""at":"2026-01-01T00:00:01.000000Z","data":{"attempts":3,"is_first":true,"names":["b","a"],"rule":"a rule"},"#,
            r#""hash":"8598e4578f4247fdbf1c87ed9ca2c7c9021fd967e89bcffddee38ed7b7f636d8","ip_address":"203.0.113.9","mac":"fc09ca526170e0e1323bd69e6498ed0b895c8c93652b043ca979e2c62e17221a","#,
            r#""prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","request_id":"r-1","#,
            r#""seq":1,"session_id":"00000000-0000-0000-0000-000000000001","#,
            r#""subject":{"id":"é \" \\ \n 1","type":"decision"}}"#,
        )
    );
}

#[test]
fn a_whole_chain_is_whole_from_wherever_it_is_read() {
    let entries = chain(20);
    let lines = lines(&entries);
    let verified = verify(&lines, Verifier::from(1).reaching(entries[19].head())).unwrap();
    assert_eq!(verified, Verified { entries: 20, head: entries[19].head() });
    let anchored = Verifier::from(8).expecting(Some(entries[9].hash));
    assert_eq!(verify(&lines[7..], anchored).unwrap().entries, 13);
    assert_eq!(verify(&lines[..0], Verifier::from(1)).unwrap().entries, 0);
}

#[test]
fn an_end_that_is_cut_off_is_seen_by_whoever_kept_the_head() {
    let entries = chain(20);
    let lines = lines(&entries);
    assert!(verify(&lines[..15], Verifier::from(1)).is_ok(), "nothing inside a chain can tell");
    for (verifier, seq) in [
        (Verifier::from(1).expecting(Some(entries[19].hash)), 16),
        (Verifier::from(1).reaching(entries[19].head()), 16),
        (Verifier::from(1).reaching(AuditHead { seq: 10, hash: [7; 32] }), 10),
    ] {
        let damage = verify(&lines[..15], verifier).unwrap_err();
        assert_eq!(damage.seq, seq, "{damage:?}");
    }
}

/// Whoever can write to the database can compute hashes, and has no key.
#[test]
fn a_history_written_anew_is_not_signed() {
    let entries = chain(5);
    let mut forged = entries[..2].to_vec();
    for entry in &entries[2..] {
        let head = forged.last().unwrap().head();
        let event = AuditEvent { action: "decision.allow".into(), ..entry.event.clone() };
        forged.push(AuditEntry::following(head, event, Some(&AuditKey::derive(b"a guess"))).unwrap());
    }
    let damage = verify(&lines(&forged), Verifier::from(1)).unwrap_err();
    assert!(matches!(damage, Damage { seq: 3, fault: Fault::WrongMac }), "{damage:?}");
    forged[2].mac = None;
    let damage = verify(&lines(&forged), Verifier::from(1)).unwrap_err();
    assert!(matches!(damage, Damage { seq: 3, fault: Fault::NotSigned }), "{damage:?}");

    let mut old_and_new =
        Verifier::from(1).signed_with(vec![AuditKey::derive(b"a guess"), AuditKey::derive(KEY)]);
    for entry in &entries {
        old_and_new.take(entry).unwrap();
    }
}

#[test]
fn a_clock_set_back_is_worth_a_word_and_no_damage() {
    let mut head = AuditHead::EMPTY;
    let mut verifier = Verifier::from(1);
    let mut notices = vec![];
    for second in [5, 3, 4] {
        let event = AuditEvent::new("a", &Origin::system(), at(second));
        let entry = AuditEntry::following(head, event, None).unwrap();
        head = entry.head();
        notices.extend(verifier.take(&entry).unwrap());
    }
    assert_eq!(notices, [Notice::TimeWentBack { seq: 2, before: at(5), at: at(3) }]);
}

#[derive(Debug, Clone)]
enum Tampering {
    /// One byte of the file is another.
    Byte(Index, u8),
    Removed(Index),
    Swapped(Index, Index),
    Repeated(Index),
    /// A space where JSON does not care.
    Spaced(Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        8 => (any::<Index>(), 1_u8..).prop_map(|(place, change)| Tampering::Byte(place, change)),
        1 => any::<Index>().prop_map(Tampering::Removed),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Tampering::Swapped(one, other)),
        1 => any::<Index>().prop_map(Tampering::Repeated),
        1 => any::<Index>().prop_map(Tampering::Spaced),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_changed_in_an_export_is_found_where_it_is(tampering in tampering()) {
        let entries = chain(12);
        let verifier = Verifier::from(1).expecting(Some(entries[11].hash));
        let mut lines = lines(&entries);
        let first_bad = match tampering {
            Tampering::Byte(place, change) => {
                let line = place.index(lines.len());
                let mut bytes = lines[line].clone().into_bytes();
                let at = place.index(bytes.len());
                bytes[at] ^= change;
                match String::from_utf8(bytes) {
                    // No line at all is found before anything is parsed.
                    Err(_) => return Ok(()),
                    Ok(text) => lines[line] = text,
                }
                line
            }
            Tampering::Removed(place) => {
                let line = place.index(lines.len());
                lines.remove(line);
                line
            }
            Tampering::Swapped(one, other) => {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                prop_assume!(one != other);
                lines.swap(one, other);
                one.min(other)
            }
            Tampering::Repeated(place) => {
                let line = place.index(lines.len());
                lines.insert(line, lines[line].clone());
                line + 1
            }
            Tampering::Spaced(place) => {
                let line = place.index(lines.len());
                lines[line] = lines[line].replacen(':', ": ", 1);
                line
            }
        };
        let damage = verify(&lines, verifier).unwrap_err();
        prop_assert_eq!(damage.seq, first_bad as u64 + 1);
    }
}
