-- principal, action, target text (null: any). below and from uuid (ids, so times); limit and the
-- most rows to look at bigint. The newest first. The last row says whether the list was `cut` at the
-- most to look at. It may be a row that was not looked for (`fits` is false).
select w.id, w.at, w.principal, w.action, w.target, w.reason, w.request_id, w.fits, w.nth = $7::bigint as cut from (
  select a.*, row_number() over (order by a.id desc) as nth,
    ($1::text is null or a.principal = $1::text) and ($2::text is null or a.action = $2::text)
      and ($3::text is null or a.target = $3::text) as fits
  from (
    select a.* from reveille.audit a where a.id < $4::uuid and a.id >= $5::uuid
    order by a.id desc limit $7::bigint
  ) a
) w where w.fits or w.nth = $7::bigint order by w.id desc limit $6::bigint
