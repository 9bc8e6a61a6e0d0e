-- STRICT: without faults nothing is refused.
create or replace function reveille.refuse(faults jsonb) returns void
language plpgsql strict as $$
begin
  raise exception using errcode = 'invalid_parameter_value',
    message = 'nothing was submitted: ' || (
      select string_agg((f.fault ->> 'pointer') || ' ' || (f.fault ->> 'message'), '; '
        order by f.nth)
      from jsonb_array_elements(faults) with ordinality f (fault, nth)
      where f.nth <= 10
    ),
    detail = faults::text,
    hint = 'Fix the fields listed in DETAIL, and submit again.';
end $$;

comment on function reveille.refuse is 'Fails with these faults of a submission, if there are any.';
revoke all on function reveille.refuse from public;
