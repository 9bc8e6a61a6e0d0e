-- Ends pauses whose time has come, and answers their queues. A row without a name says in how many
-- seconds the next one ends. An end that is not after its pause belongs to one before: the release
-- before ends and begins a pause without it.
with resumed as (
  update reveille.queue
  set paused_at = null, paused_until = null, paused_by = null, pause_reason = null, touched_at = now()
  where paused_until <= now() and paused_until > paused_at
  returning name
)
select r.name, null::double precision as seconds from resumed r
union all
select null, extract(epoch from min(q.paused_until) - clock_timestamp())::double precision
from reveille.queue q where q.paused_until > now() and q.paused_at is not null
