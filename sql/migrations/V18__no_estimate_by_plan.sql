-- The statistics are asked for all queues at once (reveille.waiting_estimates).
drop function reveille.waiting_estimate(text, boolean);
