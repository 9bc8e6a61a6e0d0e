-- Only one session at a time applies a migration. No role but the owner can take this lock.
lock table reveille.migration in share row exclusive mode
