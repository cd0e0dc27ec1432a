# The cluster's secret
$ file good 0600 0123456789abcdef
$ file large 0400 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
$ file small 0600 0123456789abcde
$ file larger 0600 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefg
$ file blank 0600 "  "
$ file open 0640 0123456789abcdef
$ file opener 0602 0123456789abcdef
$ ipvsadm --secret-file good
$ ipvsadm --secret-file large
$ ipvsadm --secret-file small
the secret file small has to hold 16 to 64 bytes: `openssl rand -hex 32' makes some
[255]
$ ipvsadm --secret-file larger
the secret file larger has to hold 16 to 64 bytes: `openssl rand -hex 32' makes some
[255]
$ ipvsadm --secret-file blank
the secret file blank has to hold 16 to 64 bytes: `openssl rand -hex 32' makes some
[255]
$ ipvsadm --secret-file open
the secret file open can be read or written by others (mode 0640): make it its owner's alone (chmod 600)
[255]
$ ipvsadm --secret-file opener
the secret file opener can be read or written by others (mode 0602): make it its owner's alone (chmod 600)
[255]
$ ipvsadm --secret-file nosuch
the secret file nosuch cannot be read: No such file or directory
[255]
$ ipvsadm --secret-file /
the secret file / is not a regular file
[255]
$ ipvsadm --secret-file /dev/null
the secret file /dev/null is not a regular file
[255]
$ ipvsadm --secret-file ''
the secret file  cannot be read: No such file or directory
[255]
$ ipvsadm --secret-file
Try `ipvsadm -h' or 'ipvsadm --help' for more information.
[255]
$ ipvsadm --secret-file good -t 10.9.0.1:80
Illegal 'service-address' option with the 'secret-file' command
[2]
$ ipvsadm --secret-file good -n
Illegal 'numeric' option with the 'secret-file' command
[2]
$ ipvsadm -A -t 10.9.0.1:80 --secret-file good
invalid option `good'
[2]
# in a file of rules
$ ipvsadm -R
< --secret-file good
< -A -t 10.9.0.1:80 -s rr
$ ipvsadm -R
< -A -t 10.9.0.2:80 -s rr
< --secret-file open
the secret file open can be read or written by others (mode 0640): make it its owner's alone (chmod 600)
ipvsadm: line 2 of the rules is refused, and so nothing of them is applied: --secret-file open
[255]
# it is not saved
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr
