-- names text[]. How these queues stand, each known or not. What is known of a pause before does not
-- count: the release before ends a pause and begins another without it.
select s.name, s.known, s.paused_at, s.scheduled, s.queued, s.processing, s.oldest_waiting_at, s.scheduled_estimated,
  s.queued_estimated, s.processing_estimated,
  p.paused_until, p.paused_by, p.pause_reason, q.settings, q.of_file, q.settings_at
from reveille.queue_state($1::text[]) s
left join reveille.queue q on q.name = s.name
left join reveille.queue p on p.name = s.name and p.pause_of = s.paused_at
