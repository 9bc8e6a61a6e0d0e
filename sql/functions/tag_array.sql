create or replace function reveille.tag_array(tags jsonb) returns text[]
language plpgsql immutable strict as $$
begin
  return nullif(array(select jsonb_array_elements_text(tags)), '{}');
end $$;

comment on function reveille.tag_array is 'The strings of an array; null for an empty one.';
revoke all on function reveille.tag_array from public;
