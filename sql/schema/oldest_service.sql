-- How many migrations a service must know to run on this schema.
select max(oldest_service) from reveille.compatibility
