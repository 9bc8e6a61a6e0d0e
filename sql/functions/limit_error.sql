-- A worker says the same of a job that it holds: `src/job/clocks.rs` has these texts.
create or replace function reveille.limit_error(limited_by text, whose text, seconds text)
returns jsonb
language sql immutable parallel safe as $$
  select jsonb_build_object('code', l.code, 'message',
    l.missed || ' within ' || whose || ' ' || l.field || ' of ' || seconds)
  from (
    values
    -- made by make made: errors
      ('deadline_seconds', 'deadline_exceeded', 'the job did not end'),
      ('queue_ttl_seconds', 'expired', 'no attempt began')
    -- end of errors
  ) l (field, code, missed)
  where l.field = limited_by
$$;

comment on function reveille.limit_error is
  'The error of a job that a limit is over for: `its` own one, or that of `its queue''s`.';
revoke all on function reveille.limit_error from public;
