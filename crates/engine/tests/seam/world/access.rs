//! The gateway's door, which writes down who came and went.

use domain::{AgentScope, ModelAccess, ModelEndpoint, RehearsedCall, TurnId, budget::UsedUp};
use std::sync::Mutex;

/// What was asked of the gateway, in order.
#[derive(Default)]
pub struct RecordedAccess(Mutex<Book>, Mutex<Option<UsedUp>>);

#[derive(Default)]
struct Book {
    admitted: Vec<String>,
    attributed: Vec<(String, Option<TurnId>)>,
    /// Each with how many attributions there were then.
    expected: Vec<(String, usize)>,
    revoked: Vec<String>,
}

impl RecordedAccess {
    /// Tokens that are still good.
    pub fn open(&self) -> Vec<String> {
        let book = self.0.lock().unwrap();
        book.admitted.iter().filter(|token| !book.revoked.contains(token)).cloned().collect()
    }

    /// From now on the gateway refuses requests for want of this, or no more.
    pub fn runs_out(&self, used_up: Option<UsedUp>) {
        *self.1.lock().unwrap() = used_up;
    }

    /// How many tokens were given out.
    pub fn admitted(&self) -> usize {
        self.0.lock().unwrap().admitted.len()
    }

    /// To which turns each token's requests were booked, in order.
    pub fn attributed(&self) -> Vec<(String, Option<TurnId>)> {
        self.0.lock().unwrap().attributed.clone()
    }

    /// Whose requests were expected, each with how often requests had been attributed by then.
    pub fn expected(&self) -> Vec<(String, usize)> {
        self.0.lock().unwrap().expected.clone()
    }
}

#[async_trait::async_trait]
impl ModelAccess for RecordedAccess {
    fn admit(&self, _: AgentScope) -> ModelEndpoint {
        let mut book = self.0.lock().unwrap();
        let token = format!("token-{}", book.admitted.len() + 1);
        book.admitted.push(token.clone());
        ModelEndpoint { base_url: "http://127.0.0.1:9".to_owned(), token }
    }

    fn attribute(&self, token: &str, turn: Option<TurnId>) {
        self.0.lock().unwrap().attributed.push((token.to_owned(), turn));
    }

    fn expect_request(&self, token: &str) {
        let mut book = self.0.lock().unwrap();
        let attributed = book.attributed.len();
        book.expected.push((token.to_owned(), attributed));
    }

    fn used_up(&self, _: &str) -> Option<UsedUp> {
        self.1.lock().unwrap().clone()
    }

    fn rehearse(&self, _: RehearsedCall) -> ModelEndpoint {
        unreachable!("agents of these tests are no CLI")
    }

    async fn booked(&self, _: &str) {}

    async fn revoke(&self, token: &str) {
        self.0.lock().unwrap().revoked.push(token.to_owned());
    }
}
