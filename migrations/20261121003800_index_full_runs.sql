-- Whether the last pass over all of a stream came to its end is asked before each of its runs.
create index run_full on hub.run (connector, stream, id desc)
    where pass = 'full' and not dry_run and since is null;
