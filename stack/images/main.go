// Command images makes container images of the services and of the stack, with nothing in them but a program, certificate authorities and
// an empty folder for temporary files. It needs Go and no registry; docker only to load what it has made.
//
// The same sources, Go and certificates give the same bytes, and so the same image id, on any machine: paths are trimmed, files are in
// order and have no time. Beside each image lies what it is made of, as CycloneDX.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cloakroom.dev/libs/run"
)

// program is one that gets an image.
type program struct {
	name, pkg string
	ports     []string
	about     string
}

var programs = []program{
	{"auth-svc", "cloakroom.dev/auth-svc/cmd/auth-svc", []string{"8081/tcp", "8082/tcp", "9091/tcp"}, "people, their sessions and keys, and the log of what no longer holds"},
	{"files-svc", "cloakroom.dev/files-svc/cmd/files-svc", []string{"8083/tcp", "9092/tcp"}, "people's files"},
	{"gateway", "cloakroom.dev/gateway/cmd/gateway", []string{"8080/tcp", "9090/tcp"}, "the door to both services"},
	{"stack", "cloakroom.dev/stack", []string{"8080/tcp"}, "all three services in one process, for development"},
}

// plan is what the command line asks for.
type plan struct {
	out, prefix, tag, version, authorities string
	load                                   bool
	only                                   []string
}

func main() {
	run.Main("images", "images makes container images of the services.", run.Command{Name: "make", Summary: "make images, SBOMs beside them", Run: makeImages})
}

func makeImages(ctx context.Context, args []string, io run.IO) error {
	var p plan
	fs := run.Flags("make [PROGRAM…]", "Makes the images of these programs, or of all.", io)
	fs.StringVar(&p.out, "out", ".bin/images", "`folder` for the images and their SBOMs")
	fs.StringVar(&p.prefix, "prefix", "cloakroom", "`repository` the images' names begin with")
	fs.StringVar(&p.tag, "tag", "dev", "`tag` of the images")
	fs.StringVar(&p.version, "version", "dev", "`version` the programs and labels tell")
	fs.StringVar(&p.authorities, "authorities", "/etc/ssl/certs/ca-certificates.crt", "`file` of the certificate authorities the programs trust")
	fs.BoolVar(&p.load, "load", false, "load the images into docker")
	if err := fs.Parse(args); err != nil {
		return err
	}
	p.only = fs.Args()
	return p.run(ctx, io)
}

func (p plan) run(ctx context.Context, io run.IO) error {
	chosen, err := choose(p.only)
	if err != nil {
		return err
	}
	authorities, err := os.ReadFile(p.authorities)
	if err != nil {
		return fmt.Errorf("certificate authorities: %w", err)
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	for _, prog := range chosen {
		id, err := p.make(ctx, prog, authorities)
		if err != nil {
			return fmt.Errorf("%s: %w", prog.name, err)
		}
		_, _ = fmt.Fprintf(io.Stdout, "%s sha256:%s\n", p.reference(prog), id)
	}
	return nil
}

func choose(names []string) ([]program, error) {
	if len(names) == 0 {
		return programs, nil
	}
	var chosen []program
	for _, name := range names {
		before := len(chosen)
		for _, prog := range programs {
			if prog.name == name {
				chosen = append(chosen, prog)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("%w: there is no program %q", run.ErrUsage, name)
		}
	}
	return chosen, nil
}

func (p plan) reference(prog program) string { return p.prefix + "/" + prog.name + ":" + p.tag }

// make builds a program and writes its image and its SBOM. It returns the image's id.
func (p plan) make(ctx context.Context, prog program, authorities []byte) (id string, err error) {
	dir, err := os.MkdirTemp("", "images-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, prog.name)
	if err := p.build(ctx, prog, binary); err != nil {
		return "", err
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	bom, err := sbom(binary, prog.name, p.version)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(p.out, prog.name+".cdx.json"), bom, 0o644); err != nil { //nolint:gosec // meant to be read
		return "", err
	}
	image, id, err := archive(prog, p.reference(prog), p.version, raw, authorities)
	if err != nil {
		return "", err
	}
	path := filepath.Join(p.out, prog.name+".tar")
	if err := os.WriteFile(path, image, 0o644); err != nil { //nolint:gosec // meant to be read
		return "", err
	}
	if !p.load {
		return id, nil
	}
	return id, command(ctx, nil, "docker", "load", "--quiet", "--input", path)
}

// build makes a program that needs no other file. The version control's word is left out: it would make equal sources differ.
func (p plan) build(ctx context.Context, prog program, to string) error {
	flags := "-s -w -buildid= -X cloakroom.dev/libs/run.version=" + p.version
	return command(ctx, []string{"CGO_ENABLED=0", "GOOS=linux"}, "go", "build", "-tags", run.BuildTags, "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", to, prog.pkg)
}

func command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the arguments are the operator's own
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
