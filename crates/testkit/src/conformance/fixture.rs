//! What scenarios begin with: a user, a session, a running turn.

use super::AnyStore;
use crate::TestClock;
use domain::{
    Clock, Event, EventBody, Expected, Generation, HookRun, MessageId, MessageType, NewMessage, NewUser,
    Origin, Role, Scope, SdkOptions, ServerId, Session, SessionId, SessionMode, SessionSpec, SessionStatus,
    Turn, TurnEnd, TurnId, TurnStatus, User, UserId,
    account::UserErased,
    ports::Turns,
    turn::{Begin, BegunTurn, NewTurn},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A store with one user, and a clock that moves on by a second whenever it is asked.
#[derive(Debug)]
pub struct Fixture<S> {
    pub store: S,
    pub user: User,
    /// The server that runs the sessions.
    pub home: ServerId,
    pub clock: TestClock,
}

impl<S: AnyStore> Fixture<S> {
    /// Stores the user.
    pub async fn new(store: S) -> Self {
        let clock = TestClock::default();
        let user = user("ada", clock.now());
        store.create_user(&user, &Origin::system()).await.unwrap();
        Self { store, user: user.user, home: ServerId::new(), clock }
    }

    /// The next instant.
    pub fn tick(&self) -> Timestamp {
        self.clock.advance(SignedDuration::from_secs(1))
    }

    /// Stores another user.
    pub async fn another_user(&self, name: &str) -> User {
        let new = user(name, self.tick());
        self.store.create_user(&new, &Origin::system()).await.unwrap();
        new.user
    }

    /// Stores another user who is an admin.
    pub(super) async fn admin(&self, name: &str) -> UserId {
        let mut new = user(name, self.tick());
        new.user.role = Role::Admin;
        self.store.create_user(&new, &Origin::system()).await.unwrap();
        new.user.id
    }

    /// Makes a user nobody.
    pub async fn erase(&self, user: UserId) -> UserErased {
        self.store.erase_user(user, &Expected::ANY, self.tick(), &Origin::system()).await.unwrap()
    }

    /// Stores a fresh session of the user.
    pub async fn session(&self) -> Session {
        let session = session(self.user.id, self.tick());
        self.store.create(&session, &Origin::system()).await.unwrap();
        session
    }

    /// The session as it is stored now.
    pub async fn reload(&self, id: SessionId) -> Session {
        domain::ports::Sessions::get(&self.store, Scope::All, id).await.unwrap().unwrap()
    }

    /// The turn as it is stored now.
    pub async fn turn(&self, session: SessionId, id: TurnId) -> Turn {
        Turns::get(&self.store, session, id).await.unwrap().unwrap()
    }

    /// A prompt to be begun or queued.
    pub fn prompt(&self, session: SessionId) -> NewTurn {
        NewTurn {
            id: TurnId::new(),
            session_id: session,
            prompt: json!("do it"),
            payers: Vec::new(),
            at: self.tick(),
        }
    }

    /// Begins a turn, which must succeed.
    pub async fn begin(&self, session: SessionId) -> BegunTurn {
        match self.store.begin(&self.prompt(session), SessionStatus::Processing, self.home).await.unwrap() {
            Begin::Begun(begun) => *begun,
            other => panic!("the turn did not begin: {other:?}"),
        }
    }

    /// How a turn ends well.
    pub fn well(&self) -> TurnEnd {
        TurnEnd {
            status: TurnStatus::Completed,
            answer: Some("done".into()),
            answer_message_id: None,
            failure: None,
            error_message: None,
            rounds: 2,
            retries: 0,
            session_status: SessionStatus::Active,
            last_messages: Vec::new(),
            last_lines: Vec::new(),
            called_tools: true,
            agent: None,
            at: self.tick(),
        }
    }

    /// The whole journal of a session, which must be without gaps.
    pub async fn journal(&self, session: SessionId) -> Vec<Event> {
        let events = self.store.read_after(session, 0, 10_000).await.unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "the journal has gaps");
        events
    }
}

/// A user of that name.
pub(super) fn user(name: &str, at: Timestamp) -> NewUser {
    let user = User {
        id: UserId::new(),
        email: format!("{name}@example.org"),
        username: name.into(),
        full_name: Some(format!("{name} Lovelace")),
        role: Role::Member,
        is_active: true,
        team: None,
        time_zone: "UTC".to_owned(),
        created_at: at,
        last_login_at: None,
    };
    NewUser { user, password_hash: format!("$argon2id${name}") }
}

/// A session with something in every field that a creator sets.
pub(super) fn session(owner: UserId, at: Timestamp) -> Session {
    let sdk_options = SdkOptions { model: Some("claude-a".into()), ..SdkOptions::default() };
    Session {
        id: SessionId::new(),
        user_id: owner,
        name: Some("a name".into()),
        description: None,
        mode: SessionMode::Interactive,
        status: SessionStatus::Created,
        spec: SessionSpec {
            working_directory: "/work".into(),
            owns_directory: true,
            whereabouts: Default::default(),
            directory_source: None,
            allowed_tools: vec!["Read".into(), "Bash(ls:*)".into()],
            system_prompt: Some("be brief".into()),
            sdk_options,
            include_partial_messages: true,
            max_retries: 3,
            retry_delay_ms: 2000,
            timeout_seconds: 120,
            hooks_enabled: vec!["audit".into()],
            permission_mode: "default".into(),
            custom_policies: vec![],
        },
        metadata: json!({ "ticket": 7, "nested": { "a": [1, 2.5, null] } }),
        parent_session_id: None,
        fork_at_message: None,
        template_id: None,
        current_turn_id: None,
        operation: None,
        archive_id: None,
        server_id: None,
        generation: Generation::FIRST,
        agent: None,
        counters: domain::Counters::default(),
        error_message: None,
        budget_paused_at: None,
        created_at: at,
        updated_at: at,
        started_at: None,
        completed_at: None,
    }
}

/// An assistant's message.
pub(super) fn message(content: Value) -> NewMessage {
    NewMessage {
        id: MessageId::new(),
        message_type: MessageType::Assistant,
        content,
        model: Some("claude-a".into()),
        thinking: Some("hm".into()),
        parent_tool_use_id: None,
        entry_uuid: Some(MessageId::new().0),
    }
}

/// The object an event carries; it must carry one.
pub(super) fn data(event: &Event) -> &Value {
    match &event.body {
        EventBody::Data(data) => data,
        EventBody::Message(message) => panic!("a message, not data: {message:?}"),
    }
}

/// Runs of sessions that never changed their home.
pub(super) fn first(runs: &[HookRun]) -> Vec<(Generation, HookRun)> {
    runs.iter().map(|run| (Generation::FIRST, run.clone())).collect()
}

/// The names of the events' kinds.
pub(super) fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}
