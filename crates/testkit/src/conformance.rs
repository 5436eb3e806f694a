//! What every store must do, as scenarios named after it.
//!
//! `testkit::store_conformance!(factory)` makes a test of each; the factory is an async expression that gives a fresh
//! store and a guard that lives as long as the test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a scenario fails by panicking; this crate is for tests only"
)]

mod accounts;
mod alerts;
mod approvals;
mod approvals_told;
mod archives;
mod archives_homes;
mod archives_over;
mod audit;
mod audit_governance;
mod budgets;
mod budgets_model;
mod costs;
mod decisions;
mod fixture;
mod forks;
mod hooks;
mod identities;
mod journal;
mod large;
mod ledger;
mod logins;
mod mcp_servers;
mod owned;
mod policies;
mod purge;
mod queue;
mod reports;
mod servers;
mod sessions;
mod snapshots;
mod stats;
mod tasks;
mod templates;
mod traffic;
mod transcripts;
mod turns;
mod users;

use domain::ports::{
    Accounts, Alerts, Approvals, Archives, Audit, Budgets, Costs, Decisions, History, HookStore,
    IdempotencyKeys, Identities, Journal, Ledger, McpServers, Ping, Policies, RateReports, Reports, Servers,
    Sessions, Snapshots, Stats, TaskStore, Templates, Transcripts, Turns,
};

pub use accounts::*;
pub use alerts::*;
pub use approvals::*;
pub use approvals_told::*;
pub use archives::*;
pub use archives_homes::*;
pub use archives_over::*;
pub use audit::*;
pub use audit_governance::*;
pub use budgets::*;
pub use budgets_model::*;
pub use costs::*;
pub use decisions::*;
pub use fixture::Fixture;
pub use forks::*;
pub use hooks::*;
pub use identities::*;
pub use journal::*;
pub use large::*;
pub use ledger::*;
pub use logins::*;
pub use mcp_servers::*;
pub use owned::*;
pub use policies::*;
pub use purge::*;
pub use queue::*;
pub use reports::*;
pub use servers::*;
pub use sessions::*;
pub use snapshots::*;
pub use stats::*;
pub use tasks::*;
pub use templates::*;
pub use traffic::*;
pub use transcripts::*;
pub use turns::*;
pub use users::*;

/// All ports in one.
pub trait AnyStore:
    Sessions
    + Servers
    + Turns
    + Journal
    + History
    + Ledger
    + Budgets
    + Costs
    + Alerts
    + Accounts
    + Identities
    + Audit
    + Decisions
    + Policies
    + HookStore
    + McpServers
    + Approvals
    + Transcripts
    + Archives
    + Snapshots
    + Reports
    + Stats
    + TaskStore
    + Templates
    + IdempotencyKeys
    + RateReports
    + Ping
    + Clone
    + 'static
{
}

impl<S> AnyStore for S where
    S: Sessions
        + Servers
        + Turns
        + Journal
        + History
        + Ledger
        + Budgets
        + Costs
        + Alerts
        + Accounts
        + Identities
        + Audit
        + Decisions
        + Policies
        + HookStore
        + McpServers
        + Approvals
        + Transcripts
        + Archives
        + Snapshots
        + Reports
        + Stats
        + TaskStore
        + Templates
        + IdempotencyKeys
        + RateReports
        + Ping
        + Clone
        + 'static
{
}

/// Makes a test of every scenario.
#[macro_export]
macro_rules! store_conformance {
    ($factory:expr) => {
        $crate::store_conformance! { @each $factory;
            a_user_is_unique_by_email_and_by_name
            logging_in_ignores_the_case_of_the_address
            an_api_key_works_until_it_expires_or_is_deleted
            the_use_of_an_api_key_is_noted_once_a_minute
            api_keys_are_listed_newest_first_and_by_owner
            users_are_listed_newest_first
            a_user_changes_as_the_patch_says_and_the_audit_log_tells_it
            a_user_who_is_disabled_is_out_at_once
            an_erased_user_stays_nobody
            the_last_active_admin_stays_one
            the_last_active_admin_is_not_removed
            a_refresh_token_works_once_and_passes_on_its_family
            using_a_refresh_token_twice_revokes_its_family
            one_of_two_rotations_at_once_wins_and_the_other_gives_the_family_away
            a_login_ends_by_expiry_by_logout_and_with_its_user
            refresh_tokens_are_forgotten_some_time_after_they_expired
            an_identity_is_its_issuer_and_its_subject
            a_user_is_one_subject_of_an_issuer
            an_identity_is_somebodys_once
            an_erased_user_leaves_their_identities
            how_somebody_came_in_is_in_the_audit_log
            a_session_comes_back_as_it_was_stored
            a_session_is_stored_once
            a_strangers_session_is_not_there
            a_list_shows_what_passes_the_filter
            a_search_takes_wildcards_as_they_are_and_ignores_case
            pages_neither_skip_nor_repeat_while_sessions_are_created
            a_page_may_skip_rows
            a_cursor_from_elsewhere_is_refused
            a_patch_changes_what_it_names_and_nothing_else
            a_session_moves_only_where_its_state_leads
            of_two_moves_at_once_one_is_refused
            a_turn_begins_with_its_prompt_on_record
            of_many_beginnings_at_once_exactly_one_wins
            a_turn_does_not_begin_in_a_session_that_is_not_ready
            a_turn_ends_exactly_once
            the_end_of_a_turn_interrupts_its_open_tool_calls
            what_was_said_last_is_recorded_with_the_end_of_a_turn
            the_end_of_a_turn_leaves_a_paused_or_terminated_session_alone
            a_session_that_ran_out_of_money_goes_on_with_a_turn_of_its_own
            a_session_that_a_person_paused_or_resumed_is_not_the_budgets
            a_failed_turn_counts_as_an_error_and_an_interrupted_one_does_not
            turns_are_listed_newest_first_and_within_their_session
            queued_turns_begin_in_their_order
            a_queue_has_a_limit
            a_place_in_the_queue_counts_those_ahead_in_other_sessions
            a_prompt_that_will_not_wait_for_others_is_queued_alone
            a_prompt_may_go_before_those_that_wait
            a_new_prompt_does_not_overtake_those_that_wait
            nothing_is_queued_in_a_session_that_takes_no_prompts
            cancelled_turns_end_as_interrupted
            a_lease_lasts_until_it_ends_or_is_given_up
            a_server_with_a_lease_can_be_written_and_read
            a_session_stays_with_a_home_that_lives
            a_dead_servers_session_goes_to_one_of_those_that_want_it
            a_server_takes_its_own_back_at_once
            a_stale_generation_is_refused_everywhere
            a_turn_and_a_queue_are_looked_after_by_the_home_or_by_anybody
            a_stop_is_asked_of_the_turn_that_runs
            a_terminated_session_is_left_once_nothing_of_it_is_there
            a_session_that_moves_says_so
            one_queued_turn_is_cancelled_and_the_others_stay
            the_next_of_each_queue_is_found_oldest_first
            work_is_not_over_while_prompts_wait
            a_session_is_taken_up_only_from_where_it_rests
            the_journal_has_no_gaps_under_concurrent_writers
            a_message_is_numbered_and_comes_back_from_the_journal
            a_tool_call_is_completed_once_by_its_id
            a_tool_call_may_start_and_complete_in_one_record
            errors_and_retries_are_counted
            nothing_is_recorded_for_a_session_that_is_not_there
            a_long_record_is_kept_whole
            a_message_of_twenty_megabytes_passes
            history_pages_follow_each_other
            a_request_is_booked_once_on_its_turn_and_session
            concurrent_bookings_add_up
            requests_are_listed_newest_first
            money_is_held_until_it_is_settled_or_released
            a_turn_begins_only_while_those_who_pay_have_money
            an_account_admits_until_it_is_full_and_says_why_it_does_not
            of_many_holds_at_once_no_more_pass_than_there_is_money
            what_a_gone_server_held_is_settled_from_what_was_seen
            a_request_without_a_hold_is_booked_on_no_account
            a_threshold_is_told_once_a_period
            a_spenders_own_budget_goes_before_the_default
            users_who_spent_are_found_by_their_month
            who_sets_a_budget_is_in_the_audit_log
            money_of_a_purged_session_stays_on_its_users_account
            money_of_an_erased_user_stays_and_what_names_them_goes
            money_adds_up_in_whatever_order_things_happen
            money_adds_up_whatever_happens_at_once
            costs_are_summed_up_for_whom_is_asked
            costs_are_told_apart_by_what_is_asked
            what_happened_is_counted_in_the_same_time
            an_alert_is_on_record_once_for_its_topic
            of_many_who_raise_one_alert_one_does
            an_alert_is_told_once_by_each_channel
            alerts_due_at_once_are_each_taken_once
            an_approval_comes_back_as_it_was_asked_and_its_session_waits
            an_approval_is_not_opened_for_a_turn_that_is_over
            of_many_answers_at_once_the_first_stands_and_the_others_learn_of_it
            a_session_waits_until_the_last_of_its_approvals_is_decided
            an_answer_that_comes_too_late_is_an_expiry
            an_approval_outlives_its_turn_and_leaves_the_session_alone_then
            pending_approvals_are_listed_newest_first_and_by_owner
            approvals_are_listed_by_session_and_status
            a_decision_is_delivered_once
            a_decision_nobody_learned_of_is_told_in_a_later_turn_once
            a_background_session_goes_on_with_a_no_too
            a_session_goes_on_with_one_turn_for_a_decision
            what_stands_is_what_was_remembered_and_what_was_told_and_not_used
            a_decision_is_stored_counted_and_journalled_at_once
            everybody_who_may_decide_comes_back_as_stored
            decisions_are_listed_newest_first_and_by_what_they_are
            recent_decisions_are_found_across_sessions
            concurrent_decisions_are_all_counted
            no_decision_is_recorded_for_a_session_that_is_not_there
            a_policy_comes_back_as_it_was_stored
            a_policy_changes_only_from_its_newest_version
            of_many_changes_at_once_exactly_one_is_stored
            a_deleted_policy_leaves_its_versions_and_its_numbers
            policies_and_their_versions_are_listed_newest_first
            policies_in_force_are_known_by_name_and_version
            a_purged_session_leaves_nothing_but_what_it_cost
            what_a_purged_session_leaves_on_a_disk_is_known_to_that_server_until_it_is_gone
            an_erased_user_is_nobody_and_cannot_come_in
            the_store_answers_a_ping
            an_audit_entry_comes_back_as_it_was_chained
            concurrent_appends_make_one_chain
            an_audit_log_shows_what_passes_the_filter
            coming_and_going_is_in_the_audit_log
            what_did_not_happen_is_not_in_the_audit_log
            the_life_of_a_session_is_in_the_audit_log
            a_decision_with_a_verdict_is_in_the_audit_log
            an_approval_and_who_ended_it_is_in_the_audit_log
            a_hook_that_kept_something_from_happening_is_in_the_audit_log
            the_life_of_an_endpoint_is_in_the_audit_log
            the_life_of_a_policy_is_in_the_audit_log
            who_sets_a_session_aside_is_in_the_audit_log
            hook_runs_are_counted_and_the_notable_ones_journalled
            a_hook_endpoint_is_its_owners
            a_rotated_secret_keeps_the_one_before
            a_delivery_is_taken_by_one_until_it_is_settled
            deliveries_due_at_once_are_each_taken_once
            a_delivery_can_be_sent_again_and_goes_with_its_endpoint
            a_transcript_is_kept_as_it_was_and_each_uuid_once
            the_last_lines_of_transcripts_are_stored_with_the_end_of_a_turn
            transcripts_of_a_session_are_kept_apart_and_forgotten_apart
            appends_at_once_lose_nothing_and_keep_their_order
            a_large_transcript_is_read_in_parts
            a_fork_has_the_history_up_to_its_message_and_nothing_else
            a_fork_goes_on_and_can_be_forked_again
            a_fork_of_a_long_conversation_is_whole
            a_family_is_shown_as_far_as_it_is_the_callers
            an_archive_holds_its_session_until_it_is_completed
            of_many_archives_asked_for_at_once_one_is_opened
            only_a_session_at_rest_is_archived
            an_attempt_is_claimed_once_and_a_later_one_voids_it
            an_attempt_that_is_put_off_is_due_again_later
            an_archive_that_is_given_up_lets_its_session_go
            a_session_is_restored_once
            a_restore_that_failed_leaves_the_session_as_it_was
            a_session_is_restored_from_its_own_archive_and_at_rest
            a_second_archive_takes_the_place_of_the_first
            an_archive_that_expires_takes_along_the_session_that_had_nothing_else
            sessions_in_which_nothing_happens_are_found
            what_archives_leave_over_is_found_until_it_is_gone
            a_session_is_packed_by_its_home_or_by_anybody
            of_those_that_a_home_leaves_behind_one_packs
            whoever_restores_a_session_is_its_home
            what_is_on_another_servers_disk_is_left_to_it
            the_life_of_an_archive_is_in_the_audit_log
            a_snapshot_is_what_the_session_has_come_to
            snapshots_are_kept_newest_first_until_they_are_old
            snapshots_go_with_their_session
            sessions_are_counted_by_mode_and_state
            what_there_is_is_counted_and_what_came_today
            a_report_comes_back_as_it_was_stored
            reports_are_listed_newest_first_and_by_owner
            reports_go_with_their_session_and_are_in_the_audit_log
            nobody_has_more_reports_than_they_may
            an_mcp_server_is_its_owners_or_everybodys
            a_name_of_an_mcp_server_is_taken_once
            nobody_has_more_mcp_servers_than_they_may
            a_check_of_an_mcp_server_is_kept_until_it_is_connected_otherwise
            secrets_of_an_mcp_server_are_sealed_anew_unless_it_changed
            the_life_of_an_mcp_server_is_in_the_audit_log
            mcp_servers_go_with_their_user
            a_task_is_its_owners_and_comes_back_as_it_was
            tasks_are_found_by_tag_and_by_word
            a_task_changes_as_the_patch_says_and_its_schedule_with_it
            an_execution_comes_back_as_it_was
            the_highest_priority_and_then_the_longest_due_is_next
            an_execution_is_claimed_once
            no_more_executions_run_than_may
            whoever_read_an_older_version_changes_nothing
            a_due_time_has_one_execution_however_many_fire
            what_a_lost_worker_had_is_found
            what_a_server_gives_up_is_found_by_those_that_work
            what_is_left_to_do_after_the_end_is_found
            nothing_runs_for_a_user_who_is_disabled
            the_life_of_a_task_is_in_the_audit_log
            a_template_comes_back_as_it_was_stored
            a_template_is_seen_by_those_it_is_shared_with
            templates_are_found_by_what_they_are
            the_use_of_a_template_is_counted_with_the_session
            templates_of_an_erased_user_are_gone
            the_life_of_a_template_is_in_the_audit_log
            nobody_has_more_than_they_may
            a_key_is_claimed_once_and_answered_again
            a_key_that_is_given_up_may_come_again
            of_many_claims_at_once_one_gets_the_key
            an_owner_has_so_many_keys_and_so_many_bytes
            attempts_to_log_in_are_counted_and_forgiven
            of_many_attempts_at_once_no_more_pass_than_are_free
            servers_hear_what_others_report
            a_change_that_expects_another_state_is_refused
            of_many_changes_that_expect_one_state_one_is_made
        }
    };
    (@each $factory:expr; $($scenario:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $scenario() {
            let (store, _guard) = $factory.await;
            $crate::conformance::$scenario(store).await;
        }
    )* };
}
