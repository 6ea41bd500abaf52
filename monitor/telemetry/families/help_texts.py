"""HELP texts of the metrics, by name without the prefix plumbline_."""

from __future__ import annotations

from typing import Final

HELP: Final = {
    "build_info": "Always 1; the version is in the label.",
    "start_time_seconds": "Start time of the process, in seconds since the epoch.",
    "heartbeat_age_seconds": "Seconds since the last iteration of the role's loop.",
    "role_ready": (
        "1 if the role has joined its consumer group and restored its state and a broker responds,"
        " otherwise 0."
    ),
    "records_consumed": "Number of messages read and committed, by topic.",
    "records_rejected": (
        "Number of messages, or of inferences in a message, that were rejected, by reason. The"
        " message is in the dead-letter topic."
    ),
    "records_decoded": "Number of records, by the format of their messages.",
    "records_skipped": (
        "Number of entries of log messages that are no inference, such as spans of tools, by kind."
    ),
    "records_duplicate": "Number of records with a request id that was seen before.",
    "calls_waiting": "Number of calls that wait for further parts in other messages.",
    "schema_registry_failures": (
        "Number of times that messages could not be decoded because the schema registry did not"
        " answer."
    ),
    "dead_letters_incomplete": (
        "Number of rejected messages that are not in the dead-letter topic as they were received,"
        " by outcome."
    ),
    "samples_written": "Number of samples written, by kind: uniform or boosted.",
    "samples_redacted": "Number of redacted places in samples, by kind of data.",
    "samples_cut": "Number of samples whose texts were cut to sampling.max_bytes.",
    "samples_dropped": "Number of drawn records that are not written as samples, by reason.",
    "records_watched": "Number of records processed by detect, by model.",
    "samples_watched": (
        "Number of judged samples and of records with feedback processed by detect, by model and"
        " source."
    ),
    "samples_skipped": (
        "Number of samples scored by another judge or rubric than those that are watched, by model"
        " and source."
    ),
    "consumer_lag_records": "Number of messages not yet read, by topic and partition.",
    "messages_expired": (
        "Number of messages that were deleted by the retention of their topic before they were"
        " read, by topic."
    ),
    "event_time_lag_seconds": "Age of the newest record with a credible time, in seconds.",
    "rebalances": "Number of assignments of partitions.",
    "transactions_aborted": "Number of ingest transactions that were rolled back.",
    "checkpoint_seconds": "Duration of the last checkpoint, in seconds.",
    "last_checkpoint_timestamp_seconds": (
        "Time at which the last checkpoint was committed, in seconds since the epoch."
    ),
    "checkpoint_bytes": "Number of bytes written to the state topic.",
    "checkpoints_failed": "Number of checkpoints that were rolled back.",
    "checkpoints_unusable": "Number of checkpoints that could not be restored.",
    "records_ahead": "Number of records whose time is more than an hour ahead of the clock.",
    "scores_dropped": "Number of scores beyond limits.scores.",
    "segments_dropped": "Number of records of segments beyond limits.segments.",
    "chunks_rejected": "Number of feature chunks that could not be decoded.",
    "commands": "Number of commands read by detect, by outcome.",
    "notifications_sent": "Number of messages delivered, by target.",
    "notifications_retried": "Number of send attempts that failed and are retried, by reason.",
    "notifications_failed": "Number of messages that were abandoned, by reason.",
    "notifications_suppressed": "Number of events that are not sent to the target, by reason.",
    "notifications_waiting": "Number of events that wait to be sent to the target.",
    "metric_series_dropped": "Number of series beyond the limit.",
    "inference_requests": "Number of inferences logged, by model and status.",
    "inference_latency_seconds": "Logged latency in seconds, by model.",
    "inference_tokens": "Number of tokens logged, by model and direction.",
    "inference_cost_usd": "Cost logged in US dollars, by model.",
    "window_records": "Number of records in the window, by model.",
    "reference_records": "Number of records in the reference, by model.",
    "warmup_records_remaining": (
        "Number of records that the warm-up still needs, by model and source; 0 once there is a"
        " reference."
    ),
    "drift_statistic": "Statistic of the detector.",
    "drift_threshold": "Value that the statistic of the detector must reach.",
    "drift_psi": "Population stability index (PSI) of the feature.",
    "feature_value": "Statistic of the values of a feature in the window.",
    "feature_reference_value": "Statistic of the values of a feature in the reference.",
    "drift_psi_threshold": "PSI from which a significant change opens an alarm, by severity.",
    "drift_active": "1 if an alarm on the whole traffic of the model is open, otherwise 0.",
    "drift_events": "Number of alarms that opened or became more severe.",
    "false_pages_promised_per_day": "False pages per day that the budget allows, by model.",
    "false_pages_measured_per_day": "False pages per day that the self-audit measures, by model.",
    "false_pages_audited_records": (
        "Number of records replayed by the self-audit since the start, by model."
    ),
    "judge_samples": "Number of samples read by the judge role, by outcome.",
    "judge_in_flight": "Number of samples that are being judged.",
    "judge_calls": "Number of calls to judges, by judge and outcome.",
    "judge_cost_usd": "Cost of calls in US dollars, from metered tokens, by judge.",
    "judge_unscored": "Number of results without a score, by reason.",
    "judge_budget_remaining_usd": (
        "US dollars that remain of the budget of the day, for the partitions of the process."
    ),
    "judge_agreement": "Agreement of repeated or several judges (Krippendorff's alpha), by rubric.",
    "judge_repeat_deviation": "Standard deviation of the scores of repeated calls, by rubric.",
    "judge_golden_shift": (
        "Significant change of the mean score of the golden set since it was first judged, by"
        " rubric; 0 if there is none."
    ),
    "judge_canary_success_ratio": "Share of canary attacks that changed the verdict, by judge.",
    "judge_quality": (
        "Mean score of the traffic, corrected by human labels where there are any, by model and"
        " rubric."
    ),
    "judge_quality_lower": "Lower end of the 95 % confidence interval of judge_quality.",
    "judge_quality_upper": "Upper end of the 95 % confidence interval of judge_quality.",
    "judge_pass_ratio": (
        "Share of responses that pass the rubric by the standard of human labels, by model and"
        " rubric."
    ),
    "judge_pass_ratio_lower": "Lower end of the 95 % confidence interval of judge_pass_ratio.",
    "judge_pass_ratio_upper": "Upper end of the 95 % confidence interval of judge_pass_ratio.",
    "judge_score": "Scores of uniform samples, by model and rubric.",
    "replay_events": "Number of messages read by the replay role, by outcome.",
    "replay_errors": "Number of replays without a verdict, by reason.",
    "replay_actions": "Number of webhooks called after replays, by action and outcome.",
    "replay_store_errors": "Number of operations of the result store that failed.",
    "replay_judge_cost_usd": "Cost in US dollars of the judges that score replays.",
    "replay_gpu_seconds": "GPU time used by replays, in seconds.",
    "replay_queue_runs": "Number of runs in the result store, by state: queued or running.",
    "replay_queue_oldest_seconds": "Age of the oldest queued run, in seconds; 0 without one.",
    "replay_events_unsent": "Number of replay events that wait to be sent to the events topic.",
    "replay_gpu_budget_remaining_seconds": "GPU time that remains of the day's budget, in seconds.",
    "replay_seconds": "Duration of replays, in seconds.",
    "replay_runs": "Number of replays that ended, by model and verdict.",
    "replay_progress": "Share of the items that a running replay has scored, by model and task.",
    "replay_score": "Score of the model in its last replay, by task and metric.",
    "replay_delta": "Difference of the last replay from the baseline; negative is worse.",
    "replay_delta_lower": "Lower end of the interval of replay_delta.",
    "replay_delta_upper": "Upper end of the interval of replay_delta.",
    "join_keys_written": "Number of ids of records that ingest has written for the join.",
    "feedback_messages": "Number of messages of feedback, by format.",
    "feedback_skipped": "Number of parts of feedback messages without a value, by kind.",
    "feedback_rejected": "Number of feedback messages with an invalid part, by reason.",
    "feedback_values": "Number of values of feedback, by outcome.",
    "feedback_values_without_unit": (
        "Number of feedback events that name the model and an experiment but not its unit, by"
        " experiment."
    ),
    "join_ids": "Number of ids of records that this process keeps for feedback.",
    "join_waiting_values": "Number of values whose record is not known yet.",
    "join_state_bytes": "Size of the ids and values that this process keeps, in memory and files.",
    "join_ids_dropped": "Number of ids that were dropped before their horizon, by the limit.",
    "join_messages_unreadable": "Number of messages of the joins topic that are none.",
    "join_messages_lost": "Number of messages of ids that a restart needed and that had expired.",
    "experiment_looks": "Number of looks at an experiment.",
    "experiment_exposures": "Number of exposures in the sums of an experiment.",
    "experiment_exposures_ignored": "Number of exposures that are in no sums, by reason.",
    "experiment_records_without_unit": (
        "Number of records of an experiment that lack its unit, by experiment."
    ),
    "experiment_last_look_timestamp_seconds": (
        "Event time of the last look at an experiment, in seconds since the epoch."
    ),
    "experiment_srm_status": (
        "1 for the status of the split of users: ok, warn or block; the split is compared with the"
        " plan."
    ),
    "experiment_srm_evalue": "Evidence of a sample ratio mismatch, by experiment.",
    "experiment_goal": "1 for the metric that decides the verdict of an experiment.",
    "experiment_verdict": (
        "1 for the verdict: better, worse, no_difference or not_yet. That of the goal stays."
    ),
    "experiment_guardrail": "1 for the state of a guardrail: harm, safe, both or unknown.",
    "experiment_users_in_several_variants": "Number of users seen in more than one variant.",
    "experiment_users": "Number of users at first exposure, by variant.",
    "experiment_requests": "Number of requests, by variant.",
    "experiment_effective_users": (
        "Effective number of users, by variant; smaller if few users send many requests."
    ),
    "experiment_largest_bucket_ratio": (
        "Largest share of the requests of a variant that one of 1,024 buckets of users has."
    ),
    "experiment_time_to_verdict_seconds": (
        "Time until a verdict is expected at today's traffic, by variant; only without a verdict."
    ),
    "experiment_mean": "Mean of a metric in its unit, by variant; a geometric mean or a quantile.",
    "experiment_effect": "Effect of a variant relative to the control; 0.05 is 5 % more.",
    "experiment_effect_lower": "Lower end of the interval of experiment_effect, valid at any time.",
    "experiment_effect_upper": "Upper end of the interval of experiment_effect, valid at any time.",
    "experiment_value_ratio": "Share of the requests that have a value of a metric, by variant.",
    "web_requests": "Number of requests to the web application, by route and class of status.",
    "web_refusals": "Number of requests refused before they reached a route, by reason.",
    "web_request_seconds": "Duration of requests to the web application, in seconds.",
    "web_event_streams": "Number of pages that receive events at the moment.",
    "web_store_errors": "Number of operations of the web application's database that failed.",
    "review_ratings": "Number of tasks by queue and what people did with them.",
    "review_inflow": "Number of samples and evaluations read for review, by outcome.",
    "review_labels": "Number of labels for the evaluations topic, by outcome: sent or failed.",
    "review_erased": "Number of items whose texts were erased, by reason.",
    "review_items": "Number of items of a review queue, by state.",
    "review_oldest_seconds": "Age of the oldest open item of a review queue, in seconds.",
    "review_labels_unsent": "Number of labels that wait to be sent to the evaluations topic.",
    "review_texts": "Number of items whose texts are stored.",
}
