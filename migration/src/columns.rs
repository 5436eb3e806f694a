//! The column and key shapes that every table uses.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null},
};

/// An instant: microseconds since 1970, UTC.
pub(crate) fn instant(name: &'static str) -> ColumnDef {
    big_integer(name)
}

/// An instant that may not have come yet.
pub(crate) fn instant_null(name: &'static str) -> ColumnDef {
    big_integer_null(name)
}

/// A figure that starts at zero: a count, tokens or micro-dollars.
pub(crate) fn figure(name: &'static str) -> ColumnDef {
    big_integer(name).default(0).take()
}

/// The token counts of everything that is priced.
pub(crate) const TOKENS: [&str; 5] =
    ["input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"];

/// A reference whose rows go when the row they belong to goes.
pub(crate) fn belongs_to(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    reference(table, column, to, ForeignKeyAction::Cascade)
}

/// A reference that keeps the row it names from being deleted.
pub(crate) fn refers_to(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    reference(table, column, to, ForeignKeyAction::Restrict)
}

/// A reference that is forgotten when the row it names goes.
pub(crate) fn may_refer_to(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    reference(table, column, to, ForeignKeyAction::SetNull)
}

fn reference(
    table: &'static str,
    column: &'static str,
    to: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_{column}"))
        .from(table, column)
        .to(to, "id")
        .on_delete(on_delete)
        .take()
}

/// An index named after its table and columns.
pub(crate) fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("ix_{table}_{}", columns.join("_"))).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

/// An index over the rows of one status alone.
pub(crate) fn index_of_status(
    name: &'static str,
    table: &'static str,
    columns: &[&'static str],
    status: &'static str,
) -> IndexCreateStatement {
    let mut index = index(table, columns);
    index.name(name).and_where(Expr::col("status").eq(status)).take()
}

/// Drops tables, the given order being safe for their references.
pub(crate) async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&'static str]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(*table).take()).await?;
    }
    Ok(())
}
