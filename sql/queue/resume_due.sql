-- Ends pauses whose time has come, and answers their queues. A row without a name says in how many
-- seconds the next one ends. The end of a pause before does not count: the release before ends a pause
-- and begins another without it.
with resumed as (
  update reveille.queue
  set paused_at = null, paused_until = null, paused_by = null, pause_reason = null,
    pause_of = null, touched_at = now()
  where paused_until <= now() and pause_of = paused_at
  returning name
)
select r.name, null::double precision as seconds from resumed r
union all
select null, extract(epoch from min(q.paused_until) - clock_timestamp())::double precision
from reveille.queue q where q.paused_until > now() and q.pause_of = q.paused_at
