//! Reports and their documents.

use super::{AnyStore, Fixture, audit::log};
use bytes::Bytes;
use domain::{
    Origin, PageRequest, Report, ReportFormat, ReportId, ReportParts, Scope, Session, SessionId, Total,
    ports::{Filed, Purged, StoreError, StoreResult},
    report::ReportFilter,
};
use futures::future::join_all;
use jiff::Timestamp;

pub async fn a_report_comes_back_as_it_was_stored<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let document = Bytes::from(format!(r#"{{"text": "{}\u0000 é"}}"#, "long ".repeat(50_000)));
    let mut made = report(&session, ReportFormat::Pdf, f.tick());
    made.size_bytes = document.len() as u64;
    assert_eq!(file(&f, &made, document.clone(), None).await.unwrap(), Filed::Filed);
    let mine = Scope::Owner(f.user.id);
    assert_eq!(f.store.report(mine, made.id).await.unwrap().as_ref(), Some(&made));
    assert_eq!(f.store.report_document(mine, made.id).await.unwrap(), Some((made.clone(), document)));

    let again = Report { format: ReportFormat::Html, ..made.clone() };
    let refused = file(&f, &again, Bytes::from_static(b"{}"), None).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(f.store.report(mine, made.id).await.unwrap().as_ref(), Some(&made));

    let stranger = Scope::Owner(f.another_user("bob").await.id);
    assert_eq!(f.store.report(stranger, made.id).await.unwrap(), None);
    assert_eq!(f.store.report_document(stranger, made.id).await.unwrap(), None);
    assert!(!f.store.delete_report(stranger, made.id, f.tick(), &Origin::system()).await.unwrap());
    assert_eq!(f.store.report(Scope::All, ReportId::new()).await.unwrap(), None);
    assert!(f.store.delete_report(mine, made.id, f.tick(), &Origin::system()).await.unwrap());
    assert_eq!(f.store.report_document(mine, made.id).await.unwrap(), None);
    assert!(!f.store.delete_report(mine, made.id, f.tick(), &Origin::system()).await.unwrap());
}

pub async fn reports_are_listed_newest_first_and_by_owner<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (one, other) = (f.session().await, f.session().await);
    let mut made = vec![];
    for (session, format) in
        [(&one, ReportFormat::Json), (&one, ReportFormat::Html), (&other, ReportFormat::Html)]
    {
        let report = report(session, format, f.tick());
        file(&f, &report, Bytes::from_static(b"{}"), None).await.unwrap();
        made.push(report);
    }
    let list = async |scope, filter: ReportFilter| {
        let page = f.store.reports(scope, &filter, &PageRequest::first(10)).await.unwrap();
        assert_eq!(page.total, Some(Total::exactly(page.items.len() as u64)));
        page.items.into_iter().map(|report| report.id).collect::<Vec<_>>()
    };
    let mine = Scope::Owner(f.user.id);
    let ids: Vec<ReportId> = made.iter().map(|report| report.id).collect();
    assert_eq!(list(mine, ReportFilter::default()).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(Scope::All, ReportFilter::default()).await.len(), 3);
    let of_one = ReportFilter { session_id: Some(one.id), format: None };
    assert_eq!(list(mine, of_one).await, [ids[1], ids[0]]);
    let html = ReportFilter { session_id: Some(one.id), format: Some(ReportFormat::Html) };
    assert_eq!(list(mine, html).await, [ids[1]]);
    let stranger = f.another_user("bob").await.id;
    assert_eq!(list(Scope::Owner(stranger), ReportFilter::default()).await, []);

    let first = f.store.reports(mine, &ReportFilter::default(), &PageRequest::first(2)).await.unwrap();
    let rest = PageRequest { cursor: first.next_cursor, ..PageRequest::first(2) };
    let rest = f.store.reports(mine, &ReportFilter::default(), &rest).await.unwrap();
    assert_eq!((rest.items[0].id, rest.next_cursor), (ids[0], None));
}

pub async fn reports_go_with_their_session_and_are_in_the_audit_log<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let (session, other) = (f.session().await, f.session().await);
    let origin = Origin::system();
    let (gone, kept) =
        (report(&session, ReportFormat::Json, f.tick()), report(&other, ReportFormat::Json, f.tick()));
    for report in [&gone, &kept] {
        assert_eq!(file(&f, report, Bytes::from_static(b"{}"), None).await.unwrap(), Filed::Filed);
    }
    f.store.terminate(session.id, &domain::Expected::ANY, f.tick(), &origin).await.unwrap();
    assert_eq!(f.store.purge(session.id, f.tick(), &origin).await.unwrap(), Purged::Purged);
    assert_eq!(f.store.report_document(Scope::All, gone.id).await.unwrap(), None);
    assert!(f.store.report_document(Scope::All, kept.id).await.unwrap().is_some());
    let late = Report { session_id: session.id, ..report(&session, ReportFormat::Json, f.tick()) };
    assert_eq!(file(&f, &late, Bytes::from_static(b"{}"), None).await.unwrap(), Filed::NoSession);
    let nowhere = Report { session_id: SessionId::new(), ..late };
    assert_eq!(file(&f, &nowhere, Bytes::from_static(b"{}"), None).await.unwrap(), Filed::NoSession);
    f.store.delete_report(Scope::All, kept.id, f.tick(), &origin).await.unwrap();

    let told: Vec<_> = log(&f.store)
        .await
        .into_iter()
        .filter(|entry| entry.event.action.starts_with("report."))
        .map(|entry| (entry.event.action.to_string(), entry.event.session_id))
        .collect();
    let created = |id| ("report.created".to_owned(), Some(id));
    let deleted = ("report.deleted".to_owned(), Some(other.id));
    assert_eq!(told, [created(session.id), created(other.id), deleted]);
}

pub async fn nobody_has_more_reports_than_they_may<S: AnyStore>(store: S) {
    let f = Fixture::new(store).await;
    let session = f.session().await;
    let theirs = Session { user_id: f.another_user("eve").await.id, ..f.session().await };
    let made = report(&theirs, ReportFormat::Json, f.tick());
    let file = async |report: &Report, max| file(&f, report, Bytes::from_static(b"{}"), max).await.unwrap();
    assert_eq!(file(&made, Some(1)).await, Filed::Filed);
    let before = log(&f.store).await.len();
    let some: Vec<Report> = (0..5).map(|_| report(&session, ReportFormat::Json, f.tick())).collect();
    let filed = join_all(some.iter().map(|report| file(report, Some(2)))).await;
    assert_eq!(
        filed.iter().filter(|filed| **filed == Filed::Filed).count(),
        2,
        "of others they count nothing"
    );
    assert_eq!(filed.iter().filter(|filed| **filed == Filed::Full).count(), 3);
    assert_eq!(log(&f.store).await.len(), before + 2, "what was not stored is not in the log either");

    let gone = some[filed.iter().position(|filed| *filed == Filed::Filed).unwrap()].id;
    assert!(f.store.delete_report(Scope::All, gone, f.tick(), &Origin::system()).await.unwrap());
    let next = || report(&session, ReportFormat::Json, f.tick());
    assert_eq!(file(&next(), Some(2)).await, Filed::Filed, "there is room again");
    assert_eq!(file(&next(), Some(2)).await, Filed::Full);
    assert_eq!(file(&next(), None).await, Filed::Filed, "where nothing was said there is no bound");
}

async fn file<S: AnyStore>(
    f: &Fixture<S>,
    report: &Report,
    document: Bytes,
    max: Option<u32>,
) -> StoreResult<Filed> {
    f.store.create_report(report, document, max, &Origin::system()).await
}

fn report(session: &Session, format: ReportFormat, at: Timestamp) -> Report {
    Report {
        id: ReportId::new(),
        user_id: session.user_id,
        session_id: session.id,
        session_name: session.name.clone(),
        format,
        parts: ReportParts { tool_calls: false, ..ReportParts::ALL },
        size_bytes: 2,
        is_shortened: true,
        created_at: at,
    }
}
