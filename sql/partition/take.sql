-- number of a week int. Locks its row, once no job of it is being sent back to wait.
insert into reveille.week (number) values ($1::integer) on conflict (number) do update set number = excluded.number
