// Package redisstore is a [store.Store] on Redis, version 7 or later, or what
// speaks its protocol: one server with its replicas, or a Redis Cluster. Every
// verb is one command on one key and one round trip.
//
// # What a fail-over loses
//
// Redis answers a write before its replicas have it, and may answer before its
// disk has it. When a replica takes over, every write the replica had not
// received is lost although it was acknowledged, and nothing tells the server.
// How much that is:
//
//   - A primary that crashes loses what was under way to the replica:
//     milliseconds as a rule, more if the replica lagged.
//   - A primary that is cut off goes on acknowledging writes of those who
//     still reach it, until it notices: in Redis Cluster for up to
//     cluster-node-timeout (15 s unless configured), under Sentinel without
//     end. All of that is lost. Meanwhile it and its successor each let a
//     single-use record be used.
//   - A server that restarts loses what its append-only file had not on disk:
//     after a power failure up to two seconds at appendfsync everysec, nothing
//     at appendfsync always; without that file everything since the last
//     snapshot, or everything. Replicas of a primary that restarts empty
//     become empty too.
//
// A lost write is a write undone, so the promises of [store.Store] do not hold
// over it. By the kind of record, which the first letter of its key names:
//
//   - g, grants. A lost Create ends an access that a customer approved. A lost
//     Replace makes a code that was redeemed good again, or a refresh token
//     that was replaced. A lost Delete brings a revoked grant back to life.
//     Grants must not live here.
//   - d, access tokens revoked one by one. A lost Create lets a revoked token
//     be accepted again until it expires. These must not live here.
//   - j, identifiers that were used: client assertions, DPoP proofs, request
//     objects. A lost Create lets the same one be accepted a second time, as
//     long as its own lifetime lasts, by whoever has a copy. Where single use
//     must hold through the loss of a machine, these must not live here. A
//     host may decide otherwise if its proofs live for a minute or so: what an
//     attacker then needs is a captured proof, with everything that it is
//     bound to, from the very moments before a fail-over.
//   - r, authorization requests that were pushed and wait for approval. A lost
//     Create makes the client push again. A lost Replace or Delete lets a
//     request that was decided be put before its customer again, and a second
//     approval finds the grant that the first one made. These are at home
//     here.
//
// What is lost can be bounded: with min-replicas-to-write 1 a primary without a
// replica that was heard of in the last min-replicas-max-lag seconds refuses
// writes, and [Store] fails rather than forgets. That ends the case of a primary
// that is cut off, and does not help when one crashes. Run with appendonly yes.
//
// There is no option to send WAIT after a write. WAIT tells how many replicas
// have received a write that has already taken effect, which others may have
// seen; it undoes nothing when they are too few. It does not bind an election:
// a replica without the write may still be the one that takes over. It thus
// makes loss rarer, not impossible, and no kind of record moves to the safe
// side by it. In Redis Cluster, moreover, it would have to follow the write on
// the same connection through every redirection, where the client sends it to
// a node of its own choice.
//
// # What Redis must not do
//
// A store that evicts forgets what it promised to keep. [Open] and [New] read
// maxmemory-policy from INFO and refuse whatever is not noeviction: at its
// limit Redis then refuses writes, and the server answers with an error. They
// look once; who changes the policy later, or adds a node with another one,
// breaks the promise. FLUSHALL does too.
//
// A record leaves Redis by its time to live, two minutes past its expiry. The
// time is given to Redis as a duration, so clocks of hosts and of Redis may
// differ as they like; those of a primary and the replica that takes over, and
// those of the hosts among each other, may differ by a minute.
//
// # Access
//
// A user for the store needs, on keys of its prefix, +evalsha +eval +getex
// +getrange +set +del, and beside them +info and +cluster|slots; a cluster
// client of the host's that does not set DisableRoutingPolicies wants +command
// too. Use rediss:// wherever the network is not the host's own.
//
// A server that refuses writes refuses Get too, so that nobody reads what is
// out of date from a node that was demoted.
//
// The client logs by itself when it cannot connect, with addresses; see
// SetLogger there.
//
// Tags are forgotten, and nothing lists what is kept: an index by tag would lie
// on another shard than the record, and could not change together with it.
package redisstore
