package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// page is the console in a browser, used as a person does: by what is written on its buttons and beside its fields.
type page struct {
	*chromium
	base string
}

// watching notes what the policy of the page forbids and what breaks in its scripts.
const watching = `window.broken = []
addEventListener('securitypolicyviolation', e => broken.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample))
addEventListener('error', e => e.message && broken.push(e.message))
addEventListener('unhandledrejection', e => broken.push(String(e.reason)))
window.control = (name, kinds) => [...document.querySelectorAll(kinds)].find(n => n.checkVisibility() && !n.disabled &&
  (n.getAttribute('aria-label') || n.labels?.[0]?.textContent || n.textContent).trim() === name)`

// openConsole opens it as somebody who has never been there.
func openConsole(t *testing.T, stack *harness.Stack) *page {
	t.Helper()
	p := &page{chromium: openChromium(t), base: strings.Replace(stack.Public, "127.0.0.1", "localhost", 1)}
	p.open(p.base + "/livez")
	p.do("Page.enable", nil, nil)
	p.do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": watching}, nil)
	p.open(p.base + "/console/")
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		var broken []string
		if p.run("window.broken", &broken); len(broken) > 0 {
			t.Errorf("the page broke: %q", broken)
		}
	})
	return p
}

// until waits for a script to be true.
func (p *page) until(what, script string) {
	p.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		if p.run("Boolean("+script+")", &is); is {
			return
		}
		if time.Now().After(deadline) {
			var text string
			p.run("document.body.innerText", &text)
			p.t.Fatalf("%s: not seen on\n%s", what, text)
		}
	}
}

func (p *page) sees(text string) {
	p.t.Helper()
	p.until("sees "+text, fmt.Sprintf("document.body?.innerText.includes(%q)", text))
}

// press presses the button or follows the link of this name.
func (p *page) press(name string) {
	p.t.Helper()
	p.until("a button "+name, fmt.Sprintf("control(%q, 'button, a')", name))
	var done bool
	p.run(fmt.Sprintf("control(%q, 'button, a').click(), true", name), &done)
}

// write fills in the field of this label.
func (p *page) write(label, value string) {
	p.t.Helper()
	p.until("a field "+label, fmt.Sprintf("control(%q, 'input, select')", label))
	var done bool
	p.run(fmt.Sprintf(`(n => { n.value = %q; n.dispatchEvent(new Event('input', {bubbles: true})); return true })(control(%q, 'input, select'))`, value, label), &done)
}

// choose hands a file in, of as many bytes, to the input of this id.
func (p *page) choose(input, name string, size int) {
	p.t.Helper()
	var done bool
	p.run(fmt.Sprintf(`(input => { const all = new DataTransfer()
		const bytes = new Uint8Array(%d).map((_, i) => i * 31 + (i >> 8))
		all.items.add(new File([bytes], %q, {type: 'text/plain', lastModified: 1700000000000}))
		input.files = all.files; input.dispatchEvent(new Event('change')); return true })(%s)`, size, name, input), &done)
}

// network sets what the browser can reach, and how many bytes a second it sends. 0 is no limit.
func (p *page) network(offline bool, upload int) {
	p.t.Helper()
	if upload == 0 {
		upload = -1
	}
	p.do("Network.enable", nil, nil)
	p.do("Network.emulateNetworkConditions", map[string]any{"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}, nil)
}

// signUp makes an account on the page.
func (p *page) signUp() (name string) {
	p.t.Helper()
	name = harness.NewUsername()
	p.press("Make an account")
	p.write("Email, phone or username", name)
	p.write("Password", harness.Password)
	p.press("Make account")
	p.sees("Nothing here yet")
	return name
}

func (p *page) signIn(name, password string) {
	p.t.Helper()
	p.write("Email, phone or username", name)
	p.write("Password", password)
	p.press("Sign in")
	p.sees("Sign out")
}
