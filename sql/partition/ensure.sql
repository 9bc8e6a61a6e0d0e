-- Makes the partitions of the weeks to come, where they are missing.
select reveille.partition_ensure()
