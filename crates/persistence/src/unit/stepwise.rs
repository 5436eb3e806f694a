//! A batch where a database takes one statement at a time.

use super::{Answers, Batch, batch::Answer};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

/// Runs the statements in their order.
pub(super) async fn run(txn: &DatabaseTransaction, batch: Batch) -> Result<Answers, DbErr> {
    let mut answers = Vec::with_capacity(batch.statements.len());
    for planned in batch.statements {
        answers.push(if planned.has_rows {
            Answer { rows: txn.query_all_raw(planned.statement).await?, affected: 0 }
        } else {
            Answer { rows: Vec::new(), affected: txn.execute_raw(planned.statement).await?.rows_affected() }
        });
    }
    Ok(Answers(answers))
}

/// Runs the statements and commits; the transaction rolls itself back if that does not come to its end.
pub(super) async fn commit(txn: DatabaseTransaction, batch: Batch) -> Result<Answers, DbErr> {
    let answers = run(&txn, batch).await?;
    txn.commit().await?;
    Ok(answers)
}
