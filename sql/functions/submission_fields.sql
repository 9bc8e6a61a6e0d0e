-- The table of submission fields, which src/job/fields declares, as job_faults needs it.
create or replace function reveille.submission_fields()
returns table (
  name text, kind text, low numeric, high numeric, longest integer, words text[], rule text,
  apart text, beside text
)
language sql immutable parallel safe as $$
  select * from (values
    -- made by make made: rules
    ('payload', 'json', null, null, null, null,
      'any JSON value', null, null),
    ('task', 'name', null, null, null, array['^[a-zA-Z0-9_.:-]{1,100}$'],
      '1 to 100 of `a-z A-Z 0-9 _ - . :`', null, null),
    ('queue', 'name', null, null, null, array['^[a-z0-9_.-]{1,64}$'],
      '1 to 64 of `a-z 0-9 _ - .`', null, null),
    ('priority', 'integer', 0, 9, null, null,
      'a whole number from 0 to 9', null, null),
    ('run_at', 'time', null, null, null, null,
      'an RFC 3339 time with a zone, such as 2030-01-31T08:00:00Z', null, null),
    ('delay_seconds', 'number', 0, 315360000, null, null,
      'a number from 0 to 315360000 (3650 days)', 'run_at', null),
    ('max_attempts', 'integer', 1, 1000, null, null,
      'a whole number from 1 to 1000', null, null),
    ('timeout_seconds', 'number', 0.001, 604800, null, null,
      'a number from 0.001 to 604800 (7 days)', null, null),
    ('tags', 'list', null, 20, 64, null,
      'a list of at most 20 strings of 1 to 64 characters', null, null),
    ('unique_key', 'text', 1, 255, null, null,
      'a string of 1 to 255 characters', null, null),
    ('on_conflict', 'choice', null, null, null, array['keep', 'reject', 'replace'],
      'keep, reject or replace', null, 'unique_key'),
    ('retry', 'object', null, null, null, null,
      'an object of strategy, base_seconds, factor, max_seconds, jitter, each optional', null, null),
    ('retry/strategy', 'choice', null, null, null, array['exponential', 'linear', 'fixed'],
      'exponential, linear or fixed', null, null),
    ('retry/base_seconds', 'number', 0, 604800, null, null,
      'a number from 0 to 604800 (7 days)', null, null),
    ('retry/factor', 'number', 1, 100, null, null,
      'a number from 1 to 100', null, null),
    ('retry/max_seconds', 'number', 0, 2592000, null, null,
      'a number from 0 to 2592000 (30 days)', null, null),
    ('retry/jitter', 'number', 0, 1, null, null,
      'a number from 0 to 1', null, null),
    ('queue_ttl_seconds', 'number', 0.001, 315360000, null, null,
      'a number from 0.001 to 315360000 (3650 days)', null, null),
    ('deadline_seconds', 'number', 0.001, 315360000, null, null,
      'a number from 0.001 to 315360000 (3650 days)', null, null),
    ('unique_for_seconds', 'number', 1, 2592000, null, null,
      'a number from 1 to 2592000 (30 days)', null, 'unique_key'),
    ('debounce_max_seconds', 'number', 0.001, 604800, null, null,
      'a number from 0.001 to 604800 (7 days)', null, 'on_conflict=replace'),
    ('concurrency_key', 'text', 1, 255, null, null,
      'a string of 1 to 255 characters', null, null)
    -- end of rules
  ) f (name, kind, low, high, longest, words, rule, apart, beside)
$$;

comment on function reveille.submission_fields is
  'The fields of a submission: what each takes, and beside which others it may stand.';
revoke all on function reveille.submission_fields from public;
