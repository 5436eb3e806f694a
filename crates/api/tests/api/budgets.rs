//! What may be spent, and who decides it.

use crate::{costs::alice, world::World};
use insta::assert_snapshot;
use serde_json::{Value, json};

const BUDGET: &str = "/api/v1/monitoring/costs/budget";

#[actix_web::test]
async fn a_user_has_the_default_until_an_admin_says_otherwise() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    let mine = format!("{BUDGET}/{me}");
    alice(&world).await.spend("2026-01-01T00:00:00Z", 1_500_000, |_| {}).await;
    assert_snapshot!("budget_default", world.alice.get(&mine).await.shown());

    let set = world.admin.put(&mine, json!({"monthly_budget_usd": 2, "when_exhausted": "warn"})).await;
    assert_snapshot!("budget_set", set.shown());
    assert_eq!(set.json(), world.alice.get(&mine).await.json());
    // A manner that is left out is the server's usual one.
    let set = world.admin.put(&mine, json!({"monthly_budget_usd": 1.5})).await.json();
    let told = [&set["is_over_budget"], &set["remaining_budget_usd"], &set["when_exhausted"]];
    assert_eq!(told, [&json!(true), &json!(0.0), &json!("pause")]);

    let back = world.admin.delete(&mine).await.json();
    assert_eq!((&back["monthly_budget_usd"], &back["is_default"]), (&json!(100.0), &json!(true)));
    let log = world.admin.get("/api/v1/admin/audit-log?action=budget.&limit=100").await.json();
    let actions: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["budget.set", "budget.set", "budget.removed"]);
}

#[actix_web::test]
async fn amounts_are_exact_or_refused() {
    let world = World::new().await;
    let mine = format!("{BUDGET}/{}", world.id(&world.alice).await);
    for accepted in ["0", "0.000001", "0.1", "19.99", "1e3", "999999999.999999", "1000000000", "1.500000"] {
        let body = format!("{{\"monthly_budget_usd\": {accepted}}}");
        let request =
            world.admin.request(reqwest::Method::PUT, &mine).header("content-type", "application/json");
        let set = world.admin.send(request.body(body)).await;
        assert_eq!(set.status, 200, "{accepted}: {}", set.text());
        let expected: f64 = accepted.parse().unwrap();
        assert_eq!(set.json()["monthly_budget_usd"], expected, "{accepted}");
    }
    for refused in ["-0.01", "-1", "0.0000001", "0.1234567", "1000000000.000001", "1e12", "1e300"] {
        let body = format!("{{\"monthly_budget_usd\": {refused}}}");
        let request =
            world.admin.request(reqwest::Method::PUT, &mine).header("content-type", "application/json");
        let set = world.admin.send(request.body(body)).await;
        assert_eq!(
            (set.status, set.violations()),
            (422, vec!["/monthly_budget_usd money".to_owned()]),
            "{refused}"
        );
    }
    for (body, violation) in [
        (json!({"monthly_budget_usd": "10"}), "/monthly_budget_usd"),
        (json!({"monthly_budget_usd": null}), "/monthly_budget_usd"),
        (json!({"monthly_budget_usd": 1, "when_exhausted": "explode"}), "/when_exhausted"),
        (json!({"budget_usd": 1}), "/budget_usd"),
        (json!({}), "/monthly_budget_usd"),
    ] {
        let set = world.admin.put(&mine, body.clone()).await;
        assert_eq!(set.status, 422, "{body}");
        assert!(
            set.violations().iter().any(|one| one.starts_with(violation)),
            "{body}: {:?}",
            set.violations()
        );
    }
    assert_eq!(
        world.alice.get(&mine).await.json()["monthly_budget_usd"],
        1.5,
        "a refused one changes nothing"
    );
}

#[actix_web::test]
async fn a_team_and_a_session_have_budgets_of_their_own() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    let team = format!("{BUDGET}/team/finance");
    assert_eq!(world.alice.get(&team).await.status, 403);
    world.admin.patch(&format!("/api/v1/admin/users/{me}"), json!({"team": "finance"})).await;
    let told = world.alice.get(&team).await.json();
    assert_eq!((&told["monthly_budget_usd"], &told["is_default"]), (&Value::Null, &json!(true)));
    assert_eq!(world.alice.put(&team, json!({"monthly_budget_usd": 1})).await.status, 403);
    assert_snapshot!("budget_team", world.admin.put(&team, json!({"monthly_budget_usd": 1})).await.shown());
    let long = format!("{BUDGET}/team/{}", "x".repeat(101));
    assert_eq!(world.admin.put(&long, json!({"monthly_budget_usd": 1})).await.status, 422);

    let spending = alice(&world).await;
    let session = format!("{BUDGET}/session/{}", spending.session);
    let set = world.alice.put(&session, json!({"budget_usd": 0.5, "when_exhausted": "pause"})).await;
    assert_eq!(set.status, 200, "{}", set.text());
    spending.spend("2026-01-01T00:00:00Z", 250_000, |_| {}).await;
    assert_snapshot!("budget_session", world.alice.get(&session).await.shown());
    assert_eq!(world.alice.get(&team).await.json()["current_month_cost_usd"], 0.25);
    assert_eq!(world.alice.delete(&session).await.json()["budget_usd"], Value::Null);
}

#[actix_web::test]
async fn a_session_is_born_with_its_budget_and_a_fork_with_its_own() {
    let world = World::new().await;
    let session = world.session_with(json!({"budget_usd": 0.25})).await;
    let told = async |session: &str| {
        let told = world.alice.get(&format!("{BUDGET}/session/{session}")).await.json();
        (told["budget_usd"].clone(), told["when_exhausted"].clone(), told["is_default"].clone())
    };
    assert_eq!(told(&session).await, (json!(0.25), json!("block"), json!(false)));
    for (budget, expected) in [(json!({}), Value::Null), (json!({"budget_usd": 0.5}), json!(0.5))] {
        let mut request = json!({"mode": "forked", "parent_session_id": session});
        request.as_object_mut().unwrap().extend(budget.as_object().unwrap().clone());
        let fork = world.session_with(request).await;
        assert_eq!(told(&fork).await.0, expected);
    }
    let before = world.alice.get("/api/v1/sessions").await.json()["total"].clone();
    let refused = world.alice.post("/api/v1/sessions", json!({"budget_usd": -1})).await;
    assert_eq!((refused.status, refused.violations()), (422, vec!["/budget_usd money".to_owned()]));
    assert_eq!(world.alice.get("/api/v1/sessions").await.json()["total"], before);

    // Nothing can be spent on nothing.
    let session = world.session_with(json!({"budget_usd": 0})).await;
    let asked =
        world.alice.post(&format!("/api/v1/sessions/{session}/query"), json!({"message": "hello"})).await;
    assert_eq!((asked.status, asked.error_code().as_str()), (402, "BUDGET_EXHAUSTED"), "{}", asked.text());
}

#[actix_web::test]
async fn own_budgets_are_listed_page_by_page() {
    let world = World::new().await;
    let me = world.id(&world.alice).await;
    let session = world.session().await;
    for (path, body) in [
        (me.clone(), json!({"monthly_budget_usd": 1})),
        ("team/b".to_owned(), json!({"monthly_budget_usd": 3})),
        ("team/a".to_owned(), json!({"monthly_budget_usd": 2})),
        (format!("session/{session}"), json!({"budget_usd": 4})),
    ] {
        assert_eq!(world.admin.put(&format!("{BUDGET}/{path}"), body).await.status, 200);
    }
    let mut seen = vec![];
    let mut next = Some("/api/v1/monitoring/costs/budgets?limit=3".to_owned());
    while let Some(path) = next {
        let page = world.admin.get(&path).await.json();
        assert_eq!(page["total"], 4);
        let items = page["items"].as_array().unwrap().clone();
        seen.extend(
            items.iter().map(|item| format!("{} {}", item["kind"].as_str().unwrap(), item["budget_usd"])),
        );
        next = page["links"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, ["user 1.0", "team 2.0", "team 3.0", "session 4.0"]);
    let elsewhere = world.admin.get("/api/v1/monitoring/costs/budgets?cursor=AAAA").await;
    assert_eq!(elsewhere.violations(), ["?cursor cursor"]);
}

#[actix_web::test]
async fn a_prompt_for_a_fork_is_paid_by_whose_the_fork_is() {
    let world = World::new().await;
    let (alice, admin) = (world.id(&world.alice).await, world.id(&world.admin).await);
    let session = world.session().await;
    let set = async |user: &str, usd: u32| {
        let budget = json!({"monthly_budget_usd": usd, "when_exhausted": "block"});
        let set = world.admin.put(&format!("{BUDGET}/{user}"), budget).await;
        assert_eq!(set.status, 200, "{}", set.text());
    };
    let sessions = async || world.admin.get("/api/v1/sessions").await.json()["total"].clone();
    let ask = async || {
        let prompt = json!({"message": "hello", "fork": true});
        world.admin.post(&format!("/api/v1/sessions/{session}/query"), prompt).await
    };
    set(&alice, 0).await;
    let asked = ask().await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    assert_eq!(sessions().await, 2);
    set(&alice, 100).await;
    set(&admin, 0).await;
    let refused = ask().await;
    assert_eq!((refused.status, refused.error_code().as_str()), (402, "BUDGET_EXHAUSTED"));
    assert_eq!(refused.json()["spender"]["id"], json!(admin), "{}", refused.text());
    assert_eq!(sessions().await, 2, "no fork was made");
}
