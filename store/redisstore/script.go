package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aikagi/aikagi/store"
)

// putScript keeps the record ARGV[3] for ARGV[4] milliseconds, if what is kept
// begins with ARGV[1], or if ARGV[1] is empty and nothing is kept. It also
// succeeds, and changes nothing, if what is kept begins with ARGV[2], the
// record's own version: then this call is a repetition.
//
// The first line makes Redis refuse the script where it must not write, such as
// on a replica, before it runs, so that no answer rests on what is out of date.
const putScript = `#!lua
local kept = redis.call('GETRANGE', KEYS[1], 0, 65)
local function at(head) return string.sub(kept, 1, #head) == head end
if at(ARGV[2]) then return 1 end
local free = kept == ''
if ARGV[1] ~= '' then free = at(ARGV[1]) end
if not free then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
`

// putSHA is the SHA-1 by which Redis knows putScript. It stands here because it
// is a name, not a safeguard, and Go in FIPS mode may refuse to compute it.
const putSHA = "715e7de5ed04f2e4a11b9a4de3d4499cd916ea37"

// grace is how long a record is kept past its expiry: the minute of the
// contract, and one by which clocks may differ.
const grace = 2 * time.Minute

// put keeps r if the record kept begins with wanted, or if wanted is empty and
// there is none. It reports whether r is kept.
func (s *Store) put(ctx context.Context, verb, wanted string, r store.Record) (bool, error) {
	if err := check(r); err != nil {
		return false, err
	}
	args := []any{wanted, head(r.Version), encode(r), timeToLive(r.Expires, time.Now())}
	kept, err := run(ctx, s, verb, r.Key, func(key string) (int64, error) {
		keys := []string{key}
		n, err := s.client.EvalSha(ctx, putSHA, keys, args...).Int64()
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // a server that is new, restarted or flushed
			n, err = s.client.Eval(ctx, putScript, keys, args...).Int64()
		}
		return n, err
	})
	return kept == 1, err
}

// timeToLive returns for how many milliseconds from now on to keep a record. It
// is a duration so that Redis's clock, which may be wrong, does not matter.
func timeToLive(expires, now time.Time) int64 {
	return max(expires.UnixMilli()-now.UnixMilli(), 0) + grace.Milliseconds()
}
