package harness

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cloakroom.dev/libs/run"
)

var built struct {
	sync.Mutex
	paths map[string]string
}

// Build builds the program in the package (`cloakroom.dev/stack`, or `./tusd` of tests/bench) and returns its path. All packages
// of a run share the file: linking takes seconds, and seeing that a file is up to date takes none.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if path, ok := built.paths[pkg]; ok {
		return path
	}
	folder := filepath.Join(Root(t), ".bin", "tested")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	defer turn(t, filepath.Join(folder, "lock"))()
	path := filepath.Join(folder, filepath.Base(pkg))
	linked := path + ".linked"
	cmd := exec.Command("go", "build", "-tags", run.BuildTags, "-o", linked, pkg)
	cmd.Dir = Root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as images have them
	if strings.HasPrefix(pkg, "./") {               // a server of others: they have a module of their own
		cmd = exec.Command("go", "build", "-tags=", "-o", linked, pkg)
		cmd.Dir = filepath.Join(Root(t), "tests", "bench")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	if err := install(linked, path); err != nil {
		t.Fatal(err)
	}
	if built.paths == nil {
		built.paths = map[string]string{}
	}
	built.paths[pkg] = path
	return path
}

// install copies a program that is not its copy already, as what unpacks archives and images does, a little at a time. What a linker has
// just written is in the kernel's cache in pieces of up to 2 MiB, and each that is touched is mapped whole: memory that was measured would
// say more about the build than about the program.
func install(linked, path string) error {
	program, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	if copied, err := os.ReadFile(path); err == nil && bytes.Equal(copied, program) {
		return nil
	}
	if err := write(path+".new", program); err != nil {
		return err
	}
	return os.Rename(path+".new", path) // what runs of the one before goes on
}

func write(path string, program []byte) error {
	// A process that is started meanwhile would have the file open for writing, and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(program, 32<<10) {
		if _, err := f.Write(piece); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// turn waits until no other process builds here, and returns how to let the next one.
func turn(t testing.TB, path string) (release func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Close() }
}
