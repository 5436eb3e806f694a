//! Forks, and the families that they make.

use super::{Place, State, transcripts::Transcript};
use domain::{
    EventKind, Message, MessageId, Origin, Scope, Session, SessionId,
    audit::events,
    fork::{NewFork, Relative},
    journal::data,
    ports::{StoreError, StoreResult},
    transcript::{TranscriptEntry, TranscriptKey, TranscriptPlace, conversation_field},
};
use uuid::Uuid;

impl State {
    pub(super) fn fork(&mut self, fork: &NewFork, origin: &Origin) -> StoreResult<()> {
        let NewFork { session, parent, cut } = fork;
        if self.sessions.contains_key(&session.id) {
            return Err(StoreError::Conflict { what: "a session of this id" });
        }
        let copied =
            self.messages(*parent).filter(|message| message.sequence_number <= session.counters.messages);
        let copied: Vec<Message> = copied
            .map(|message| Message {
                id: MessageId::new(),
                session_id: session.id,
                turn_id: None,
                ..message.clone()
            })
            .collect();
        self.copied_messages.extend(copied);
        if let (Some(cut), Some(conversation)) = (cut, session.agent) {
            let copies = self.copies(fork, *cut, conversation.id);
            self.transcripts.extend(copies);
        }
        self.sessions.insert(session.id, session.clone());
        let place = Place { session: session.id, turn: None, at: session.created_at };
        let source = session.spec.directory_source;
        self.journal_data(place, EventKind::Notice, data::forked(*parent, session.counters.messages, source));
        if let Some(stored) = self.sessions.get_mut(&session.id) {
            stored.updated_at = session.updated_at;
        }
        self.audit(events::session_forked(fork, origin))
    }

    fn copies(&self, fork: &NewFork, cut: TranscriptPlace, conversation: Uuid) -> Vec<Transcript> {
        let renamed = [conversation_field(cut.conversation), conversation_field(conversation)];
        let of_parent = self.transcripts.iter().filter(|transcript| {
            transcript.key.session_id == fork.parent && transcript.key.conversation == cut.conversation
        });
        let copy = |transcript: &Transcript| {
            let length = match transcript.key.subpath {
                None => usize::try_from(cut.position).unwrap_or(usize::MAX),
                Some(_) => usize::MAX,
            };
            let entry = |entry: &TranscriptEntry| TranscriptEntry {
                uuid: entry.uuid.clone(),
                text: entry.text.replace(&renamed[0], &renamed[1]),
            };
            Transcript {
                key: TranscriptKey {
                    session_id: fork.session.id,
                    conversation,
                    subpath: transcript.key.subpath.clone(),
                },
                entries: transcript.entries.iter().take(length).map(entry).collect(),
                added_at: fork.session.created_at,
            }
        };
        of_parent.map(copy).collect()
    }

    pub(super) fn family(&self, scope: Scope, id: SessionId, limit: usize) -> Vec<Relative> {
        let visible = |id: SessionId| self.sessions.get(&id).filter(|session| scope.covers(session.user_id));
        let Some(mut root) = visible(id) else { return Vec::new() };
        while let Some(parent) = root.parent_session_id.and_then(visible) {
            root = parent;
        }
        let mut family = vec![root];
        let mut parents = vec![root.id];
        while !parents.is_empty() {
            let is_child = |session: &&Session| {
                scope.covers(session.user_id)
                    && session.parent_session_id.is_some_and(|parent| parents.contains(&parent))
            };
            let mut children: Vec<&Session> = self.sessions.values().filter(is_child).collect();
            children.sort_by_key(|session| (session.created_at, session.id));
            parents = children.iter().map(|session| session.id).collect();
            family.extend(children);
        }
        family.truncate(limit);
        family.into_iter().cloned().map(Relative::from).collect()
    }
}
