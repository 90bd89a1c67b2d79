// Command bank tells Aikagi's story: a customer connects a household-accounts
// app to a bank, the transaction history arrives, and a thief with the stolen
// access token is turned away.
//
//	go run ./examples/bank                 # play it in a browser
//	go run ./examples/bank -demo           # play it here, without one
//	go run ./examples/bank -config FILE    # the same bank, for other people's clients
//
// It is an example of what a host writes: everything in it uses only what the
// library exports.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const usage = `Usage: bank [-demo | -config FILE [-report[=json] | -migrate]]

With no flags, bank plays the story of the spare key in a browser: a customer, a
fintech, a bank, and a thief. It needs nothing but a free port and prints one
URL to open.

  -demo          play the same story here, without a browser, once with each way
                 to bind the key; the exit status is 0 only if every step went as
                 it should
  -config FILE   run the bank alone, as FILE says, for other clients
  -report        with -config, run nothing, and print what that bank is held to,
                 rule by rule, and how each of its clients stands; as text, or by
                 -report=json as JSON
  -migrate       with -config, run nothing, and make the tables of the database
                 that FILE names, or bring them up to date

The exit status is 1 if something failed and 2 if the flags or FILE are wrong.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bank", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	demo := flags.Bool("demo", false, "")
	config := flags.String("config", "", "")
	var report reportFormat
	flags.Var(&report, "report", "")
	migrate := flags.Bool("migrate", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		return misused(flags, fmt.Sprintf("%q is no flag", flags.Arg(0)))
	case *demo && isSet(flags, "config"):
		return misused(flags, "-demo and -config do not go together")
	case report != "" && !isSet(flags, "config"):
		return misused(flags, "-report goes with -config")
	case *migrate && !isSet(flags, "config"):
		return misused(flags, "-migrate goes with -config")
	case *migrate && report != "":
		return misused(flags, "-report and -migrate do not go together")
	}

	switch {
	case *migrate:
		return runMigrate(ctx, *config, stdout, stderr)
	case report != "":
		return runReport(*config, report, stdout, stderr)
	case isSet(flags, "config"):
		return runConfig(ctx, *config, stdout, stderr)
	case *demo:
		return runDemo(ctx, stdout, stderr)
	}
	return runStory(ctx, stdout, stderr)
}

func misused(flags *flag.FlagSet, how string) int {
	fmt.Fprintf(flags.Output(), "bank: %s\n", how)
	flags.Usage()
	return 2
}

func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "bank: %v\n", err)
	return status
}

// runStory serves the story to a browser until ctx ends.
func runStory(ctx context.Context, stdout, stderr io.Writer) int {
	s, err := newStage()
	if err != nil {
		return fail(stderr, 1, err)
	}
	dir, err := os.MkdirTemp("", "aikagi-bank-")
	if err != nil {
		s.close()
		return fail(stderr, 1, err)
	}
	defer os.RemoveAll(dir)
	caFile := filepath.Join(dir, "throw-away-ca.pem")
	if err := os.WriteFile(caFile, s.pki.authority, 0o644); err != nil {
		s.close()
		return fail(stderr, 1, err)
	}
	fmt.Fprintln(stdout, message(terminalLanguage(), "terminal.open", s.url, caFile))

	// A browser that does not trust the authority breaks off each handshake
	// until somebody clicks: not worth a line each.
	if err := serve(ctx, io.Discard, s.listeners...); err != nil {
		return fail(stderr, 1, err)
	}
	return 0
}

// runDemo plays the story without a browser.
func runDemo(ctx context.Context, stdout, stderr io.Writer) int {
	s, err := newStage()
	if err != nil {
		return fail(stderr, 1, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(ctx, stderr, s.listeners...) }()
	err = play(ctx, stdout, terminalLanguage(), s)
	s.hangUp()
	cancel()
	if err := errors.Join(err, <-served); err != nil {
		return fail(stderr, 1, err)
	}
	return 0
}

// runConfig runs the bank that a file describes until ctx ends.
func runConfig(ctx context.Context, name string, stdout, stderr io.Writer) int {
	s, b, err := checkedBank(name)
	if err != nil {
		return fail(stderr, 2, err)
	}
	for _, warning := range b.warnings(ctx) {
		fmt.Fprintf(stderr, "bank: warning: %s\n", warning)
	}
	kept, err := s.plan.open(ctx)
	if err != nil {
		return fail(stderr, 1, fmt.Errorf("%s: %w", name, err))
	}
	status := runWith(ctx, name, s, kept, stdout, stderr)
	if err := kept.close(); err != nil {
		return fail(stderr, 1, fmt.Errorf("%s: store: %w", name, err))
	}
	return status
}

// runWith runs the bank on what is kept, which it sweeps meanwhile.
func runWith(ctx context.Context, name string, s *settings, kept *storage, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	b, err := newBank(s, kept, log)
	if err != nil {
		return fail(stderr, 2, fmt.Errorf("%s: %w", name, err))
	}
	listeners, err := b.listeners()
	if err != nil {
		return fail(stderr, 2, fmt.Errorf("%s: %w", name, err))
	}
	var sweeping sync.WaitGroup
	sweep, stop := context.WithCancel(ctx)
	sweeping.Go(func() { kept.keepSwept(sweep, log) })

	fmt.Fprintf(stdout, "bank: serving %s\n", b.issuer)
	err = serve(ctx, stderr, listeners...)
	b.telling.Wait()
	stop()
	sweeping.Wait()
	if err != nil {
		return fail(stderr, 1, err)
	}
	return 0
}

// checkedBank reads a file and builds the bank that it describes once, in
// memory, so that everything that is wrong is told before a database is opened.
func checkedBank(name string) (*settings, *bank, error) {
	s, err := readConfig(name)
	if err != nil {
		return nil, nil, err
	}
	b, err := newBank(s, inMemory(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s", name, asMembers.Replace(err.Error()))
	}
	return s, b, nil
}

// asMembers gives what the library says about its Config the names of the
// members that lead there.
var asMembers = strings.NewReplacer(
	"Config.BackchannelLogout", "back-channel in logout", "Logout or BackchannelLogout is set", "logout is there", "Retire of", "retire of", "Waivers[", "waivers[",
	"as Server.Report lists them", "as -report lists them", "in Profiles", "in profiles", "set Expires", "give expires",
	"and set Interact", "and have users who sign in",
	"Config.Authorities", "client_ca", "Config.Resources", "resources", "Config.Decrypt", "keys with use enc", "Config.Pairwise", "openid in scopes",
	"Issuer is", "issuer is", "MTLSBase is", "mtls_base is", "Scopes has", "scopes has",
	"Resources has", "resources has", "without Scopes", "without scopes", "Scopes of a Resource", "scopes of a resource",
	"DetailsTypes of a Resource", "authorization_details_types of a resource", "DetailsTypes of Config", "authorization_details_types",
	"DetailsTypes has", "authorization_details_types has", "ClaimNames has", "users has a claim", "Decrypt[", "keys with use enc[",
)

// listeners opens the sockets of a -config file. One that serves browsers and
// asks for certificates, both, asks in a way that lets those without go on.
func (b *bank) listeners() ([]listener, error) {
	first, err := net.Listen("tcp", b.listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w; choose a free address of this machine", err)
	}
	if b.mtlsBase == "" {
		return []listener{{first, b.as.TLSPolicy().MutualConfig(b.certificate), b.browsers()}}, nil
	}
	second, err := net.Listen("tcp", b.listenMTLS)
	if err != nil {
		_ = first.Close() // nothing has been served there
		return nil, fmt.Errorf("listen_mtls: %w; choose a free address of this machine", err)
	}
	return []listener{
		{first, b.as.TLSPolicy().Config(b.certificate), b.browsers()},
		{second, b.as.TLSPolicy().MutualConfig(b.certificate), b.machines()},
	}, nil
}

// terminalLanguage returns the language of the environment (POSIX, 8.2).
func terminalLanguage() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if slices.Contains([]string{"ja", "ja_"}, v[:min(3, len(v))]) {
				return "ja"
			}
			return "en"
		}
	}
	return "en"
}
