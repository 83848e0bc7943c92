package decode

import (
	"strings"
	"testing"
)

func TestInstanceInText(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := instanceIn(text); got != want {
			t.Errorf("instanceIn(%q) = %q, want %q", text, got, want)
		}
	}
	f("User: arn:aws:sts::111122223333:assumed-role/web/i-0a1b2c3d4e5f60718 is not authorized", "i-0a1b2c3d4e5f60718")
	f("instance-id: i-0a1b2c3d", "i-0a1b2c3d")
	f("ami-0a1b2c3d4e5f60718 is an image, vpci-0a1b2c3d none", "")
	f("i-0a1b2c3d4e5f6071 is a digit short", "")
	f("i-0a1b2c3dz, i-0A1B2C3D and i- alone", "")
	f("hi-0a1b2c3d then i-0a1b2c3e", "i-0a1b2c3e")
	f("", "")
}

func TestRoleAsked(t *testing.T) {
	f := func(command, want string) {
		t.Helper()
		if got := roleAsked(command); got != want {
			t.Errorf("roleAsked(%q) = %q, want %q", command, got, want)
		}
	}
	f("curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/web-role", "web-role")
	f("wget -qO- 'http://[fd00:ec2::254]/latest/meta-data/iam/security-credentials/app_role' -T 2", "app_role")
	f("curl http://169.254.169.254/latest/meta-data/iam/security-credentials/", "")
	f("curl http://169.254.169.254/latest/meta-data/hostname", "")
	f("curl /meta-data/iam/security-credentials/"+strings.Repeat("r", 65), "")
}

func FuzzInstanceInText(f *testing.F) {
	f.Add("arn:aws:ec2:eu-west-1:111122223333:instance/i-0a1b2c3d4e5f60718")
	f.Fuzz(func(t *testing.T, text string) {
		if id := instanceIn(text); id != "" && (!isInstanceID(id) || !strings.Contains(text, id)) {
			t.Errorf("instanceIn(%q) = %q", text, id)
		}
		if r := roleAsked(text); len(r) > 64 {
			t.Errorf("roleAsked(%q) = %q", text, r)
		}
	})
}
