package simulate

import (
	"fmt"
	"slices"
	"time"
)

// sshToBucket: somebody on the internet guesses the password of a service
// account on a web server, becomes root, takes the server's cloud credentials,
// and with them, from outside, customers' data.
func sshToBucket(w *world) {
	e, r, c := w.estate, w.rng("ssh-to-bucket"), w.campaign("ssh-to-bucket", "Guessed SSH password to theft of a customer bucket")
	web := e.webs[1]
	from := fmt.Sprintf("203.0.113.%d", 130+r.IntN(15))
	outside := fmt.Sprintf("203.0.113.%d", 145+r.IntN(5)) // where the cloud keys are used from
	if r.IntN(2) == 0 {
		outside = from // not everybody changes the way out
	}
	deploy, root := unixUser{"deploy", 1010}, unixUser{"root", 0}
	c.IPs = slices.Compact([]string{from, outside})
	at := w.clock(1, 20).Add(between(r, 0, 40*time.Minute))
	c.Root.Host, c.Root.User, c.Root.Time = web.name, deploy.name, at

	guess := c.step(at, deed{"T1110.001", "credential-access", web.name, deploy.name, "Passwords of several accounts guessed over SSH from " + from, 0}, func() {
		for range 380 + r.IntN(120) {
			user, known := pick(r, []string{"root", "deploy", "deploy", "ubuntu", "admin", "postgres"}), true
			if user == "admin" || user == "postgres" {
				known = false
			}
			web.sshFailed(at, user, from, known)
			at = at.Add(between(r, 700*time.Millisecond, 5*time.Second))
		}
	})
	at = at.Add(4 * time.Second)
	var s *shell
	entry := c.step(at, deed{"T1078.003", "initial-access", web.name, deploy.name, "Login as deploy with the guessed password", guess}, func() {
		s = web.sshLogin(at, deploy, from, "password", 3*time.Hour)
	})
	at = at.Add(between(r, 5*time.Minute, 11*time.Minute))
	look := c.step(at, deed{"T1082", "discovery", web.name, deploy.name, "A look around: who am I, which system, what runs, what listens", entry}, func() {
		for _, cmd := range [][]string{{"/usr/bin/id"}, {"/usr/bin/uname", "-a"}, {"/usr/bin/whoami"}, {"/usr/bin/ps", "aux"}, {"/usr/bin/ss", "-tlnp"}, {"/usr/bin/cat", "/etc/passwd"}, {"/usr/bin/ls", "-la", "/home"}} {
			s.run(at, cmd[0], cmd[1:]...)
			at = at.Add(between(r, 2*time.Second, 20*time.Second))
		}
	})
	at = at.Add(between(r, 3*time.Minute, 8*time.Minute))
	var shell *task
	rise := c.step(at, deed{"T1548.003", "privilege-escalation", web.name, deploy.name, "Root shell through a sudo rule that allows find", look}, func() {
		s.run(at, "/usr/bin/sudo", "-l")
		at = at.Add(25 * time.Second)
		find := s.sudo(at, "/usr/bin/find", "/srv/app", "-name", "x", "-exec", "/bin/sh", ";")
		shell = find.run(at.Add(100*time.Millisecond), "/bin/sh")
		shell.run(at.Add(6*time.Second), "/usr/bin/id")
	})
	at = at.Add(between(r, 2*time.Minute, 9*time.Minute))
	files := c.step(at, deed{"T1552.001", "credential-access", web.name, root.name, "Cloud credentials read from the account's home", rise}, func() {
		shell.run(at, "/usr/bin/find", "/home", "/root", "-name", "credentials")
		cat := shell.run(at.Add(8*time.Second), "/usr/bin/cat", "/home/deploy/.aws/credentials")
		cat.open(at.Add(8*time.Second+4*time.Millisecond), "/home/deploy/.aws/credentials", false, "cloud-secrets")
	})
	at = at.Add(between(r, time.Minute, 4*time.Minute))
	meta := c.step(at, deed{"T1552.005", "credential-access", web.name, root.name, "Credentials of the instance's role asked of the metadata service", rise}, func() {
		for n, path := range []string{"api/token", "meta-data/iam/security-credentials/", "meta-data/iam/security-credentials/" + web.role} {
			curl := shell.run(at.Add(time.Duration(n)*7*time.Second), "/usr/bin/curl", "-s", "http://169.254.169.254/latest/"+path)
			curl.connect(at.Add(time.Duration(n)*7*time.Second+20*time.Millisecond), "169.254.169.254", 80, 200, 1200, 4*time.Millisecond)
		}
	})

	at = at.Add(between(r, 20*time.Minute, 50*time.Minute))
	agent := "aws-cli/2.24.10 md/awscrt#0.23.8 ua/2.1 " + pick(r, []string{ // what the attacker works on
		"os/linux#6.11.2-amd64 md/arch#x86_64 lang/python#3.12.6 md/distrib#kali.2025", "os/macos#24.3.0 md/arch#arm64 lang/python#3.12.6 md/prompt#off", "os/linux#6.8.0-55-generic md/arch#x86_64 lang/python#3.12.6 md/distrib#ubuntu.24",
	}) + " cfg/retry-mode#standard"
	role := web.roleSession()
	user := caller{user: "svc-deploy", key: "AKIA" + letters(r, 16)}
	do := func(by caller, service, name, request, response, failed string, write bool) {
		e.cloud.call(at, call{by: by, ip: outside, agent: agent, service: service, name: name, request: request, response: response, failed: failed, write: write})
		at = at.Add(between(r, 2*time.Second, 30*time.Second))
	}
	use := c.step(at, deed{"T1078.004", "initial-access", "", role.arn(), "The role's credentials used from " + outside, meta}, func() {
		do(role, "sts", "GetCallerIdentity", "", "", "", false)
	})
	key := c.step(at, deed{"T1078.004", "initial-access", "", user.arn(), "The key from the file used from " + outside, files}, func() {
		do(user, "sts", "GetCallerIdentity", "", "", "", false)
	})
	at = at.Add(between(r, time.Minute, 5*time.Minute))
	bucket := e.buckets[0]
	list := c.step(at, deed{"T1619", "discovery", "", role.arn(), "Buckets and their objects listed, and more tried", use}, func() {
		do(role, "s3", "ListBuckets", "", "", "", false)
		do(role, "iam", "ListUsers", "", "", "AccessDenied", false)
		do(role, "ec2", "DescribeInstances", "{}", "", "Client.UnauthorizedOperation", false)
		for _, b := range e.buckets[:3] {
			do(role, "s3", "GetBucketLocation", `{"bucketName":"`+b+`"}`, "", "", false)
		}
		for range 4 {
			do(role, "s3", "ListObjects", `{"bucketName":"`+bucket+`","list-type":"2","prefix":"exports/"}`, "", "", false)
		}
	})
	at = at.Add(between(r, 6*time.Minute, 15*time.Minute))
	persist := c.step(at, deed{"T1098.001", "persistence", "", user.arn(), "A second key made for the build server's account", key}, func() {
		do(user, "iam", "ListUsers", "{}", "", "", false)
		do(user, "iam", "ListAccessKeys", `{"userName":"ci-deployer"}`, "", "", false)
		do(user, "iam", "CreateAccessKey", `{"userName":"ci-deployer"}`, `{"accessKey":{"userName":"ci-deployer","accessKeyId":"AKIA`+letters(r, 16)+`","status":"Active"}}`, "", true)
	})
	at = at.Add(between(r, 4*time.Minute, 12*time.Minute))
	c.step(at, deed{"T1685.002", "defense-impairment", "", user.arn(), "CloudTrail's logging stopped", persist}, func() {
		do(user, "cloudtrail", "DescribeTrails", "{}", "", "", false)
		do(user, "cloudtrail", "StopLogging", `{"name":"arn:aws:cloudtrail:`+region+`:`+account+`:trail/management"}`, "", "", true)
	})
	at = at.Add(between(r, 10*time.Minute, 25*time.Minute))
	c.step(at, deed{"T1530", "collection", "", role.arn(), "Hundreds of customer exports fetched from the bucket", list}, func() {
		for n := range 260 + r.IntN(120) {
			e.cloud.object(at, role, outside, agent, "GetObject", bucket, fmt.Sprintf("exports/2026/customers-%04d.csv.gz", n))
			at = at.Add(between(r, 300*time.Millisecond, 9*time.Second))
		}
	})
	at = at.Add(between(r, 10*time.Minute, 30*time.Minute))
	c.step(at, deed{"T1685.006", "defense-impairment", web.name, root.name, "Shell history and login log wiped on the server", rise}, func() {
		shell.run(at, "/usr/bin/shred", "-u", "/home/deploy/.bash_history", "/root/.bash_history")
		cut := shell.run(at.Add(9*time.Second), "/usr/bin/truncate", "-s", "0", "/var/log/auth.log")
		cut.open(at.Add(9*time.Second+3*time.Millisecond), "/var/log/auth.log", true, "logs")
		s.logout(at.Add(40 * time.Second))
	})
}
