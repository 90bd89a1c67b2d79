package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Open connects to Redis and returns a Store, which the host closes. Each URL
// names a server (redis://user:password@host:6379/0, rediss:// with TLS,
// unix:///path/to/socket) with the options of [redis.ParseURL], such as
// pool_size. One URL may name a single server or a node of a cluster, which
// Open finds out; several name nodes of one cluster, so that it can be opened
// while some are down, and may differ only in host and port.
//
// Open fails if Redis cannot be reached, or cannot keep what a Store promises;
// see [New]. ctx is for opening only.
func Open(ctx context.Context, urls ...string) (*Store, error) {
	nodes, err := parse(urls)
	if err != nil {
		return nil, err
	}
	clustered, err := probe(ctx, nodes)
	if err != nil {
		return nil, err
	}
	var client redis.UniversalClient
	switch {
	case clustered:
		client = redis.NewClusterClient(clusterOf(nodes))
	case len(nodes) == 1:
		client = redis.NewClient(nodes[0])
	default:
		return nil, errors.New("redisstore: Open: several URLs, but the server is not a node of a cluster")
	}
	s, err := New(ctx, client)
	if err != nil {
		_ = client.Close() // nothing was written through it
		return nil, err
	}
	return s, nil
}

// New returns a Store on a client of the host's: a *[redis.Client], which may
// be one that Sentinel guides, or a *[redis.ClusterClient]. Others, such as a
// Ring, which moves keys to another server when one is down, are refused, as
// are options that send reads to replicas or repeat nothing.
//
// New asks every primary for INFO, and fails unless each is of version 7 or
// later, is a primary, and has the maxmemory-policy noeviction.
func New(ctx context.Context, client redis.UniversalClient) (*Store, error) {
	var err error
	switch c := client.(type) {
	case *redis.Client:
		if c.Options().MaxRetries == 0 {
			return nil, errNoRetries
		}
		err = inspect(ctx, c)
	case *redis.ClusterClient:
		switch o := c.Options(); {
		case o.MaxRedirects == 0:
			return nil, errNoRetries
		case o.ReadOnly:
			return nil, errors.New("redisstore: client reads from replicas, which may be out of date")
		}
		err = c.ForEachMaster(ctx, inspect)
	default:
		return nil, fmt.Errorf("redisstore: client is a %T, want a *redis.Client or a *redis.ClusterClient", client)
	}
	var unfit unfitError
	switch {
	case errors.As(err, &unfit):
		return nil, unfit
	case err != nil:
		return nil, failure("INFO", err)
	}
	return &Store{client: client}, nil
}

var errNoRetries = errors.New("redisstore: client repeats nothing, so a reply that is lost would be an error")

// parse reads the URLs. What is wrong with one is not said: it may be a part of
// the password.
func parse(urls []string) ([]*redis.Options, error) {
	if len(urls) == 0 {
		return nil, errors.New("redisstore: Open: no URL")
	}
	nodes := make([]*redis.Options, len(urls))
	for i, u := range urls {
		o, err := redis.ParseURL(u)
		if err != nil {
			return nil, fmt.Errorf("redisstore: Open: URL %d is not a Redis URL, or has an unknown option", i+1)
		}
		o.ContextTimeoutEnabled = true
		o.DialerRetries = 1 // a verb is repeated as a whole, and another node may answer
		if first := nodes[0]; i > 0 && (o.Username != first.Username || o.Password != first.Password ||
			o.DB != first.DB || (o.TLSConfig == nil) != (first.TLSConfig == nil)) {
			return nil, fmt.Errorf("redisstore: Open: URL %d differs from the first in more than host and port", i+1)
		}
		nodes[i] = o
	}
	return nodes, nil
}

// probe asks the first node that answers whether it is one of a cluster.
func probe(ctx context.Context, nodes []*redis.Options) (clustered bool, err error) {
	for _, o := range nodes {
		c := redis.NewClient(o)
		var info string
		info, err = await(ctx, func() (string, error) { return c.Info(ctx).Result() })
		_ = c.Close() // it was only asked
		if err == nil {
			return fieldOf(info, "redis_mode") == "cluster", nil
		}
	}
	return false, failure("Open", err)
}

// clusterOf returns the options for the cluster that nodes are part of.
func clusterOf(nodes []*redis.Options) *redis.ClusterOptions {
	o := nodes[0]
	all := &redis.ClusterOptions{
		ClientName:            o.ClientName,
		Protocol:              o.Protocol,
		Username:              o.Username,
		Password:              o.Password,
		MaxRedirects:          o.MaxRetries,
		MinRetryBackoff:       o.MinRetryBackoff,
		MaxRetryBackoff:       o.MaxRetryBackoff,
		DialTimeout:           o.DialTimeout,
		DialerRetries:         o.DialerRetries,
		ReadTimeout:           o.ReadTimeout,
		WriteTimeout:          o.WriteTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		PoolFIFO:              o.PoolFIFO,
		PoolSize:              o.PoolSize,
		PoolTimeout:           o.PoolTimeout,
		MaxConcurrentDials:    o.MaxConcurrentDials,
		MinIdleConns:          o.MinIdleConns,
		MaxIdleConns:          o.MaxIdleConns,
		MaxActiveConns:        o.MaxActiveConns,
		ConnMaxIdleTime:       o.ConnMaxIdleTime,
		ConnMaxLifetime:       o.ConnMaxLifetime,
		ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		PipelinePoolSize:      o.PipelinePoolSize,

		// What a command's key is needs no asking, and a user may not be
		// allowed to ask.
		DisableRoutingPolicies: true,
	}
	if o.TLSConfig != nil {
		all.TLSConfig = o.TLSConfig.Clone()
		all.TLSConfig.ServerName = "" // each node has a name of its own
	}
	for _, o := range nodes {
		all.Addrs = append(all.Addrs, o.Addr)
	}
	return all
}

// An unfitError says why a server cannot keep what a Store promises.
type unfitError string

func (e unfitError) Error() string { return "redisstore: " + string(e) }

// inspect asks a server what it is.
func inspect(ctx context.Context, c *redis.Client) error {
	info, err := await(ctx, func() (string, error) { return c.Info(ctx).Result() })
	if err != nil {
		return err
	}
	return fit(info)
}

// fit reports what in an answer to INFO tells against keeping records there.
// What INFO does not tell does so too.
func fit(info string) error {
	major, _, _ := strings.Cut(fieldOf(info, "redis_version"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return unfitError("Redis is older than version 7, or does not say")
	}
	if fieldOf(info, "role") != "master" {
		return unfitError("the server is not a primary, so it refuses writes and may be out of date")
	}
	if policy := fieldOf(info, "maxmemory_policy"); policy != "noeviction" {
		return unfitError(fmt.Sprintf("maxmemory-policy is %.20q, want \"noeviction\": "+
			"a store that evicts lets what was used be used again", policy))
	}
	return nil
}

// fieldOf returns the value of a field of INFO, or "".
func fieldOf(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimRight(value, "\r\n")
		}
	}
	return ""
}
