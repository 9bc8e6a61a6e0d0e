-- worker uuid.
select from reveille.worker where id = $1::uuid
