-- queue text, the key to go on behind text, the most jobs int. Gives turns to jobs of a queue that
-- have come to wait for their keys. Answers as gate/open; then how much it did, where the next pass
-- begins (null: it came to the end), and in how many seconds the next job is due. No row: another
-- session is at it. A crash may forget it.
select o.busy, o.task, o.priority, o.seen, o.reached, o.seconds
from (
  select $1::text as queue, set_config('synchronous_commit', 'off', true) offset 0
) s
cross join lateral reveille.keys_sweep(s.queue, $2::text, $3::integer) o
