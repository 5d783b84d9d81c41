"""Several processes that serve one port: `s3o run --processes N`.

The *parent* listens, starts the *members*, starts a dead one again, and passes on what one member asks of all. It serves nothing itself and
reads no request. A *member* is a proxy as any other, and knows of the others only what the ledger says, as several proxies on several
machines do; the first also runs the repairing workers. A *line* joins each member to the parent. The *tally* says how many connections each
member has, so that none of them takes what an idler one should.
"""
