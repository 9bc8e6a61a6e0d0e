-- names text[]. How these queues stand, each known or not.
select s.name, s.known, s.paused_at, s.scheduled, s.queued, s.processing, s.oldest_waiting_at, s.scheduled_estimated,
  s.queued_estimated, s.processing_estimated
from reveille.queue_state($1::text[]) s
