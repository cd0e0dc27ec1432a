# A file of rules is applied as a whole, or not at all
$ local 10.9.1.1 10.9.1.2
$ ipvsadm -A -t 10.9.0.1:80 -s rr --fullnat
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 -w 3
$ ipvsadm -A -t 10.9.0.2:80 -s wlc
$ ipvsadm -a -t 10.9.0.2:80 -r 10.9.2.2:80 -g
$ ipvsadm -P -z 10.9.1.2:2000-2999
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
# an option that is none: seen before anything is done
$ ipvsadm -R
< -A -t 10.9.0.9:80 -s rr
< -A -t 10.9.0.8:80 --toa 7 --fullnat
unknown TOA kind `7': for an IPv4 service it is one of 200, 254 and off
ipvsadm: line 2 of the rules is refused, and so nothing of them is applied: -A -t 10.9.0.8:80 --toa 7 --fullnat
[2]
$ ipvsadm -R
< -C
< 
< # a comment
< -A -t 10.9.0.9:80 -s rr   # another
< -a -t 10.9.0.9:80 -r 10.9.2.1:80 -m -w junk
illegal weight specified
ipvsadm: line 5 of the rules is refused, and so nothing of them is applied: -a -t 10.9.0.9:80 -r 10.9.2.1:80 -m -w junk
[2]
$ ipvsadm -R
< ipvsadm -A -t 10.9.0.9:80 -s rr
< -Q
You need to supply the 'laddr' option for the 'del-laddr' command
ipvsadm: line 2 of the rules is refused, and so nothing of them is applied: -Q
[2]
$ ipvsadm -R
< -A -t 10.9.0.9:80 -s rr
< junk
Try `ipvsadm -h' or 'ipvsadm --help' for more information.
ipvsadm: line 2 of the rules is refused, and so nothing of them is applied: junk
[255]
$ ipvsadm -R
< -R
Try `ipvsadm -h' or 'ipvsadm --help' for more information.
ipvsadm: line 1 of the rules is refused, and so nothing of them is applied: -R
[255]
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
# what only the kernel refuses: all is put back
$ ipvsadm -R
< -A -t 10.9.0.9:80 -s rr --fullnat --toa off
< -P -t 10.9.0.9:80 -z 10.9.1.1
< -a -t 10.9.0.9:80 -r 10.9.2.1:80
< -E -t 10.9.0.1:80 -s wlc -p 300 --fullnat --timestamps strip
< -Q -t 10.9.0.1:80 -z 10.9.1.1
< -P -t 10.9.0.1:80 -z 10.9.1.5-10.9.1.9
< -e -t 10.9.0.1:80 -r 10.9.2.1:80 -w 9 -g
< -d -t 10.9.0.2:80 -r 10.9.2.2:80
< -a -t 10.9.0.2:80 -r 10.9.2.3:80 -m
< -P -z 10.9.1.2
the local address is already declared with other ports: remove it from every pool first
ipvsadm: line 10 of the rules is refused, and so nothing of them is applied: -P -z 10.9.1.2
[255]
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
$ ipvsadm -R
< -C
< -A -t 10.9.0.1:80 -s sh
< -A -t 10.9.0.1:80 -s rr
Service already exists
ipvsadm: line 3 of the rules is refused, and so nothing of them is applied: -A -t 10.9.0.1:80 -s rr
[255]
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
$ ipvsadm -R
< -D -t 10.9.0.1:80
< -D -t 10.9.0.2:80
< -Q -z 10.9.1.2
< -D -t 10.9.0.3:80
No such service
ipvsadm: line 4 of the rules is refused, and so nothing of them is applied: -D -t 10.9.0.3:80
[255]
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
$ ipvsadm -R
< -A -t 10.9.0.7:80 -s nosuch
Scheduler or persistence engine not found
ipvsadm: line 1 of the rules is refused, and so nothing of them is applied: -A -t 10.9.0.7:80 -s nosuch
[255]
$ ipvsadm -R
< -a -t 10.9.0.1:80 -r 10.9.2.1:80 -w 4
Destination already exists
ipvsadm: line 1 of the rules is refused, and so nothing of them is applied: -a -t 10.9.0.1:80 -r 10.9.2.1:80 -w 4
[255]
$ ipvsadm -R
< -a -t 10.9.0.7:80 -r 10.9.2.1:80 -m
Service not defined
ipvsadm: line 1 of the rules is refused, and so nothing of them is applied: -a -t 10.9.0.7:80 -r 10.9.2.1:80 -m
[255]
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
# what cannot be put back is named
$ ipvsadm -R
< -Z
< --kill -z 10.9.1.1
< -Z
< -D -t 10.9.0.3:80
No such service
ipvsadm: line 4 of the rules is refused, and so nothing of them is applied (but what cannot be undone: zero, kill): -D -t 10.9.0.3:80
0 connections ended
[255]
$ ipvsadm -R
< -Z -t 10.9.0.3:80
No such service
ipvsadm: line 1 of the rules is refused, and so nothing of them is applied: -Z -t 10.9.0.3:80
[255]
# the same once more, of any kind
$ ipvsadm -R
< -P -z 10.9.1.2:2000-2999
< -A -t 10.9.0.1:80 -s rr --fullnat
< -P -t 10.9.0.1:80 -z 10.9.1.1
< -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
< -A -t 10.9.0.2:80 -s wlc
< -a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
$ ipvsadm -Sn
-P -z 10.9.1.2:2000-2999
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 3
-A -t 10.9.0.2:80 -s wlc
-a -t 10.9.0.2:80 -r 10.9.2.2:80 -g -w 1
$ ipvsadm -R
$ ipvsadm -C
