// Command front is an ingress controller for tests: HAProxy, and a small program that tells it what the cluster says. It stands where
// people have one of theirs, and takes as much of an Ingress as this chart writes: a host, paths, a Service's port by its name, a Secret
// with a certificate.
//
//	Ingresses, EndpointSlices, Secrets of one namespace -> what to serve (config.go) -> HAProxy's file, or its socket
//
// It promises what the controllers do that people use: a pod that is not ready gets no new request, one that leaves keeps those it has,
// and neither costs a reload; only another host or certificate does. A request is sent again only when no pod could be connected to: what a pod may
// have begun is never asked twice. X-Forwarded-* of clients is thrown away. Bodies pass through in both directions as they come.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	namespace := flag.String("namespace", "", "whose Ingresses are served")
	class := flag.String("class", "front", "the ingressClassName that is meant")
	folder := flag.String("folder", "/run/front", "where the configuration and the socket are")
	ask := flag.String("ask", "", "a command for the HAProxy that runs; what it says is printed")
	flag.Parse()
	run := serveUntilEnded
	if *ask != "" {
		run = func(string, string, string) error { return answer(*folder, *ask) }
	}
	if err := run(*namespace, *class, *folder); err != nil {
		slog.Error("the front ends", "error", err)
		os.Exit(1)
	}
}

// answer prints what the HAProxy that runs says to a command.
func answer(folder, command string) error {
	said, err := askProxy(filepath.Join(folder, "admin.sock"), command)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(said)
	return err
}

func serveUntilEnded(namespace, class, folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serve(ctx, namespace, class, folder)
}

// serve follows the cluster until ctx ends or HAProxy does.
func serve(ctx context.Context, namespace, class, folder string) error {
	cluster, err := inCluster(namespace)
	if err != nil {
		return err
	}
	seen := cluster.follow(ctx)
	p := &proxy{folder: folder, ended: make(chan error, 1)}
	for {
		select {
		case <-ctx.Done():
			return p.stop()
		case err := <-p.ended:
			return fmt.Errorf("HAProxy ended: %w", err)
		case w := <-seen:
			if err := p.show(w.wanted(class)); err != nil {
				return err
			}
		}
	}
}

// proxy is the HAProxy that runs.
type proxy struct {
	folder string
	shown  wanted
	cmd    *exec.Cmd
	ended  chan error
}

// show makes HAProxy serve what is wanted. Until there is a certificate there is nothing to listen with, and it is not started.
func (p *proxy) show(next wanted) error {
	if len(next.certificates) == 0 {
		return nil
	}
	next.keepSlots(p.shown)
	if err := p.write(next); err != nil {
		return err
	}
	last := p.shown
	p.shown = next
	switch {
	case p.cmd == nil:
		return p.start()
	case last.frame() != next.frame():
		slog.Info("other hosts or certificates: HAProxy reads its file again")
		return p.cmd.Process.Signal(syscall.SIGUSR2)
	}
	for _, command := range next.changes(last) {
		slog.Info("told HAProxy", "command", command)
		if err := tell(filepath.Join(p.folder, "admin.sock"), command); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxy) write(w wanted) error {
	certificates := filepath.Join(p.folder, "certificates")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		return err
	}
	for name, pem := range w.certificates {
		if err := os.WriteFile(filepath.Join(certificates, name+".pem"), pem, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(p.folder, "haproxy.cfg"), []byte(w.config(p.folder)), 0o600)
}

func (p *proxy) start() error {
	p.cmd = exec.Command("haproxy", "-W", "-db", "-f", filepath.Join(p.folder, "haproxy.cfg"))
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return nil
}

// stop lets what runs finish.
func (p *proxy) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
	}
	return nil
}
