-- names text[]. How these queues stand, each known or not. The end, reason and principal of a pause
-- that is over do not count: the release before leaves them when it ends one.
select s.name, s.known, s.paused_at, s.scheduled, s.queued, s.processing, s.oldest_waiting_at, s.scheduled_estimated,
  s.queued_estimated, s.processing_estimated,
  case when q.paused_until > q.paused_at then q.paused_until end as paused_until, q.paused_by, q.pause_reason,
  q.settings, q.of_file, q.settings_at
from reveille.queue_state($1::text[]) s left join reveille.queue q on q.name = s.name
