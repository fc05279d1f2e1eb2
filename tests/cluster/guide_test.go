package cluster

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const guide = "docs/guides/kubernetes.md"

// block is one command or more, indented, with nothing between.
var block = regexp.MustCompile(`(?m)(?:^    .*\n)+`)

// TestGuide does what the guide says to install a trial, each command as it stands: with Helm, changed to custom resources, taken away, and
// once more without Helm. The images are those of `make images` and, by the names the trial asks for, of the stores.
func TestGuide(t *testing.T) {
	c := up(t)
	s := &site{cluster: c, t: t, namespace: "cloakroom"}
	if _, err := s.run("", nil, "kubectl", "get", "namespace", "cloakroom"); err == nil {
		t.Fatal("there is a namespace cloakroom already: the guide would write over what is in it")
	}
	t.Cleanup(s.remove)
	s.run0("make", "images")
	c.hand(t, "cloakroom/auth-svc:"+s.appVersion(), "cloakroom/files-svc:"+s.appVersion(), "cloakroom/gateway:"+s.appVersion())
	s.handStores()

	var without string
	for _, commands := range s.blocks("Install") {
		if strings.HasPrefix(commands, "kubectl create namespace") {
			without = commands
			continue
		}
		s.shell(commands)
		if strings.HasPrefix(commands, "helm") {
			s.trialWorks()
		}
	}
	s.helmRun("uninstall", "cloakroom", "--wait")
	for _, kept := range []string{"secret/cloakroom-keys", "crd/routes.cloakroom.dev"} {
		s.kubectl("get", kept)
	}
	s.run0("kubectl", "delete", "namespace", "cloakroom", "--wait", "--timeout=3m")
	if without == "" {
		t.Fatal("the guide says nothing of installing without Helm")
	}
	s.shell(without)
	for _, component := range []string{"auth", "files", "gateway"} {
		s.kubectl("rollout", "status", "deployment/cloakroom-"+component, "--timeout="+patience)
	}
	s.trialWorks()
}

// blocks are the commands of a section.
func (s *site) blocks(section string) (all []string) {
	s.t.Helper()
	text := string(must[[]byte](s.t, "read the guide")(os.ReadFile(filepath.Join(s.root, guide))))
	_, text, found := strings.Cut(text, "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for _, b := range block.FindAllString(text, -1) {
		lines := strings.Split(strings.TrimSpace(b), "\n")
		for i := range lines {
			lines[i] = strings.TrimSpace(lines[i])
		}
		all = append(all, strings.Join(lines, "\n"))
	}
	if !found || len(all) < 3 {
		s.t.Fatalf("the section %s has %d blocks of commands", section, len(all))
	}
	return all
}

// shell runs commands as a person would, with the pinned helm and the cluster's kubectl first in the PATH.
func (s *site) shell(commands string) {
	s.t.Helper()
	path := filepath.Dir(s.helm) + ":" + filepath.Dir(s.look("kubectl")) + ":" + os.Getenv("PATH")
	out, err := s.run("", nil, "env", "PATH="+path, "bash", "-euxc", commands)
	s.t.Logf("%s\n%s", commands, out)
	if err != nil {
		s.explain()
		s.t.Fatal(err)
	}
}

// trialWorks does the main job through a port that kubectl forwards, as the chart's notes say.
func (s *site) trialWorks() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, s.look("kubectl"), "-n", s.namespace, "port-forward", "svc/cloakroom-gateway", ":80")
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was ended
	}()
	line := make(chan string, 1)
	go func() {
		scan := bufio.NewScanner(out)
		scan.Scan()
		line <- scan.Text()
		for scan.Scan() { // it must not wait for us
		}
	}()
	select {
	case said := <-line:
		_, port, _ := strings.Cut(said, "127.0.0.1:")
		port, _, _ = strings.Cut(port, " ")
		s.base = "http://127.0.0.1:" + port
	case <-time.After(time.Minute):
		s.t.Fatal("kubectl forwards no port")
	}
	s.mainJob(s.t)
}

func (s *site) appVersion() string {
	s.t.Helper()
	text := string(must[[]byte](s.t, "read the chart")(os.ReadFile(filepath.Join(s.root, "charts/cloakroom/Chart.yaml"))))
	return regexp.MustCompile(`(?m)^appVersion: (.*)$`).FindStringSubmatch(text)[1]
}

// handStores gives the cluster images of the stores by the names that a trial asks for. Where a registry answers they are those.
func (s *site) handStores() {
	s.t.Helper()
	values := string(must[[]byte](s.t, "read the values")(os.ReadFile(filepath.Join(s.root, "charts/cloakroom/values.yaml"))))
	for _, m := range regexp.MustCompile(`(?m)^  (postgres|bucket|redis):\n(?:    .*\n)*?    image: (.*)$`).FindAllStringSubmatch(values[strings.Index(values, "\ntrial:"):], -1) {
		part, asked := m[1], m[2]
		if _, err := s.run("", nil, "docker", "image", "inspect", asked); err != nil {
			s.run0("docker", "tag", storeImages[part], asked)
			defer s.run0("docker", "rmi", asked) // the name, and not the image
		}
		s.hand(s.t, asked)
	}
}
