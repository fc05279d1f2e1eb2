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
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3/docker"

	"cloakroom.dev/libs/internal/container"
	"cloakroom.dev/libs/secret"
)

const password = "test"

var postgres = &container.Kind{
	Name: "postgres", Title: "PostgreSQL", Port: "5432/tcp", Ready: connects,
	ImageEnv: "CLOAKROOM_TEST_POSTGRES_IMAGE", Local: "cloakroom-test/postgres:15", Official: "postgres:17",
	Env: []string{"POSTGRES_PASSWORD=" + password},
}

// Data of the shared server is kept only as long as it runs: nothing waits for a disk.
var shared = sync.OnceValues(func() (*container.Server, error) {
	return postgres.Shared("postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=500")
})

func dsn(address, database string) secret.String {
	return secret.NewString("postgres://postgres:" + password + "@" + address + "/" + database + "?sslmode=disable")
}

// connects returns nil when the server takes connections.
func connects(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn(address, "postgres").Reveal())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

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
	postgres.Need(t)
	server, err := shared()
	if err != nil {
		t.Fatalf("start a PostgreSQL: %v", err)
	}
	p.once.Do(func() { p.name, p.err = p.make(server.Address) })
	if p.err != nil {
		t.Fatalf("prepare the template database: %v", p.err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), made.Add(1))
	if err := admin(server.Address, `CREATE DATABASE `+name+` TEMPLATE `+p.name); err != nil {
		t.Fatalf("clone the template database: %v", err)
	}
	t.Cleanup(func() {
		if err := admin(server.Address, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	return dsn(server.Address, name)
}

func (p *Template) make(address string) (string, error) {
	name := fmt.Sprintf("template_%d_%d", os.Getpid(), made.Add(1))
	if err := admin(address, `CREATE DATABASE `+name); err != nil {
		return "", err
	}
	if p.prepare == nil {
		return name, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.prepare(ctx, dsn(address, name)); err != nil {
		return "", err
	}
	// A clone is refused while anybody is connected to its template, and a closed connection takes a moment to go.
	return name, admin(address, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
}

// admin runs a statement in the database that is there to run such statements in.
func admin(address, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn(address, "postgres").Reveal())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// Tools writes pg_dump and pg_restore into a folder, as programs that run in the container that a database of New is in: the server's own,
// of its own version. Files go in and out through standard input and output.
func Tools(t testing.TB, database secret.String, folder string) {
	t.Helper()
	at, err := url.Parse(database.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/bash -eu
container=$(docker ps --quiet --filter publish=%s)
exec docker exec -i "$container" "$(basename "$0")" "${@//%s/127.0.0.1:5432}"
`, at.Port(), at.Host)
	for _, name := range []string{"pg_dump", "pg_restore"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
}

// Server is a PostgreSQL for one test.
type Server struct {
	container *container.Server
	t         testing.TB
}

// NewServer starts one with the settings of production, fsync above all. It goes when the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	return &Server{postgres.Start(t, "postgres", "-c", "max_connections=200"), t}
}

// DSN is the address of its one database, the same after each restart.
func (s *Server) DSN() secret.String { return dsn(s.container.Address, "postgres") }

// Kill ends all its processes at once, as a crash does.
func (s *Server) Kill() {
	s.t.Helper()
	s.container.Kill(s.t)
}

// Stop ends it in order: connections are cut, what was committed is written. PostgreSQL does that at SIGINT; at docker's own
// SIGTERM it would wait for its clients.
func (s *Server) Stop() {
	s.t.Helper()
	s.container.Stop(s.t, docker.SIGINT)
}

// Start starts it again after Stop or Kill and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.container.Run(s.t)
}
