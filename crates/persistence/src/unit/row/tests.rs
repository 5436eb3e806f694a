//! A value that is not what the reader wants is said, and never taken for none.

use super::*;
use crate::entity::{api_key, user};

row! {
    #[derive(PartialEq)]
    struct Mixed {
        id: Uuid,
        name: String,
        count: i64,
        is_on: bool,
        more: JsonValue,
        digest: Vec<u8>,
        left: Option<i64>,
    }
}

fn mixed(id: Uuid) -> Vec<(&'static str, Sql)> {
    vec![
        ("id", Sql::Blob(id.as_bytes().to_vec())),
        ("name", Sql::Text("Ada".into())),
        ("count", Sql::Integer(7)),
        ("is_on", Sql::Integer(1)),
        ("more", Sql::Text(r#"{"a":1}"#.into())),
        ("digest", Sql::Blob(vec![1, 2])),
        ("left", Sql::Null),
    ]
}

fn row_of(columns: &[(&str, Sql)]) -> Row {
    let (columns, values): (Vec<_>, Vec<_>) =
        columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).unzip();
    Row::Sqlite(SqliteRow { columns: columns.into(), values })
}

#[test]
fn each_field_is_read_from_the_column_of_its_name() {
    let id = Uuid::now_v7();
    let mut columns = mixed(id);
    columns.reverse();
    let read = Mixed::from_row(&row_of(&columns)).unwrap();
    let more = serde_json::json!({ "a": 1 });
    let expected =
        Mixed { id, name: "Ada".into(), count: 7, is_on: true, more, digest: vec![1, 2], left: None };
    assert_eq!(read, expected);
}

#[test]
fn what_is_something_else_or_not_there_is_an_error() {
    let columns = mixed(Uuid::now_v7());
    for at in 0..columns.len() {
        let mut wrong = columns.clone();
        wrong[at].1 = match wrong[at].0 {
            "id" | "digest" | "name" | "more" => Sql::Integer(1),
            _ => Sql::Text("1".into()),
        };
        let error = Mixed::from_row(&row_of(&wrong)).unwrap_err().to_string();
        assert!(error.contains(wrong[at].0), "{error}");

        let mut less = columns.clone();
        less.remove(at);
        Mixed::from_row(&row_of(&less)).unwrap_err();

        let mut none = columns.clone();
        none[at].1 = Sql::Null;
        assert_eq!(Mixed::from_row(&row_of(&none)).is_ok(), columns[at].0 == "left", "{}", columns[at].0);
    }
}

#[test]
fn a_row_of_a_table_is_read_by_the_types_of_its_columns() {
    let id = Uuid::now_v7();
    let key = api_key::Model {
        id,
        user_id: Uuid::now_v7(),
        name: "ci".into(),
        prefix: "stw_ci".into(),
        secret_sha256: vec![9; 32],
        access: "write".into(),
        expires_at: None,
        created_at: 5,
        last_used_at: Some(6),
    };
    let columns: Vec<_> =
        api_key::Column::iter().map(|column| (column.as_str(), bound(&key.get(column)).unwrap())).collect();
    assert_eq!(api_key::Model::from_row(&row_of(&columns)).unwrap(), key);

    let mut wrong = columns.clone();
    wrong.iter_mut().find(|(name, _)| *name == "expires_at").unwrap().1 = Sql::Text("soon".into());
    assert!(api_key::Model::from_row(&row_of(&wrong)).unwrap_err().to_string().contains("expires_at"));
    wrong.retain(|(name, _)| *name != "expires_at");
    api_key::Model::from_row(&row_of(&wrong)).unwrap_err();
    user::Model::from_row(&row_of(&columns)).unwrap_err();
}
