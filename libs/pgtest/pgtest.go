// Package pgtest gives each test a PostgreSQL database of its own.
//
// New clones a database from a template that the test's package prepares once (its migrations, mostly): a clone costs some
// tens of milliseconds. All test binaries of one `go test` share one container, which goes when that command ends. Server
// starts a container for one test alone, to be stopped and started in the middle of things, with fsync on.
//
// The image is CLOAKROOM_TEST_POSTGRES_IMAGE, else the one that tests/images made, else the official one. Without docker a
// test that asks for a database is skipped; where CI=true it fails.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3/docker"

	"cloakroom.dev/libs/secret"
)

// Template is a database that tests start from. Make one for each package, as a variable; it is prepared at its first use.
type Template struct {
	prepare func(ctx context.Context, dsn secret.String) error
	once    sync.Once
	name    string
	err     error
}

// NewTemplate makes a template of what prepare leaves in an empty database; nil leaves it empty. prepare must close its
// connections.
func NewTemplate(prepare func(ctx context.Context, dsn secret.String) error) *Template {
	return &Template{prepare: prepare}
}

var made atomic.Int64

// New clones the template and returns the DSN of the clone, whose owner is a superuser. It goes when the test ends,
// together with whoever is still connected.
func (p *Template) New(t testing.TB) secret.String {
	t.Helper()
	server := shared(t)
	p.once.Do(func() { p.name, p.err = p.make(server) })
	if p.err != nil {
		t.Fatalf("prepare the template database: %v", p.err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), made.Add(1))
	if err := server.admin(`CREATE DATABASE ` + name + ` TEMPLATE ` + p.name); err != nil {
		t.Fatalf("clone the template database: %v", err)
	}
	t.Cleanup(func() {
		if err := server.admin(`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	return server.dsn(name)
}

func (p *Template) make(server *server) (string, error) {
	name := fmt.Sprintf("template_%d_%d", os.Getpid(), made.Add(1))
	if err := server.admin(`CREATE DATABASE ` + name); err != nil {
		return "", err
	}
	if p.prepare == nil {
		return name, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.prepare(ctx, server.dsn(name)); err != nil {
		return "", err
	}
	// A clone is refused while anybody is connected to its template, and a closed connection takes a moment to go.
	return name, server.admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`)
}

// admin runs a statement in the database that is there to run such statements in.
func (s *server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres").Reveal())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Server is a PostgreSQL for one test.
type Server struct {
	*server
	t testing.TB
}

// NewServer starts one with the settings of production, fsync above all. It goes when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	need(t)
	s, err := start("", "-c", "max_connections=200")
	if err != nil {
		t.Fatalf("start a PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := s.docker.Purge(s.resource); err != nil {
			t.Logf("remove the PostgreSQL: %v", err)
		}
	})
	return &Server{s, t}
}

// DSN is the address of its one database, the same after each restart.
func (s *Server) DSN() secret.String { return s.dsn("postgres") }

// Kill ends all its processes at once, as a crash does.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.signal(docker.SIGKILL); err != nil {
		s.t.Fatalf("kill the PostgreSQL: %v", err)
	}
}

// Stop ends it in order: connections are cut, what was committed is written.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.signal(docker.SIGINT); err != nil {
		s.t.Fatalf("stop the PostgreSQL: %v", err)
	}
}

// Start starts it again after Stop or Kill and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	err := s.docker.Client.StartContainer(s.resource.Container.ID, nil)
	if err == nil {
		err = s.await()
	}
	if err != nil {
		s.t.Fatalf("start the PostgreSQL again: %v", err)
	}
}
