# Rules files
$ local 10.9.1.1
$ ipvsadm -R
< -P -z 10.9.1.1
< -A -t 10.9.0.1:80 -s rr --fullnat
< -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1
< -a -t 10.9.0.1:80 -r 10.9.2.2:80 -w 1
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1
-a -t 10.9.0.1:80 -r 10.9.2.2:80 -b -w 1
# twice is no error
$ ipvsadm -R
< -P -z 10.9.1.1
< -A -t 10.9.0.1:80 -s rr --fullnat
< -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1
$ ipvsadm -C
# blanks at the end, before a comment too
$ ipvsadm -R
< -P -z 10.9.1.1   
< -A -t 10.9.0.1:80 -s rr --fullnat      # comments stand in a column
< -a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1 	 
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat
-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1
$ ipvsadm -C
# a file that has what is needed further down says nothing
$ ipvsadm -R
< -A -t 10.9.0.1:80 -s rr --fullnat --toa 254
< -A -t 10.9.0.2:80 -s wlc -p 300 --fullnat
< -P -t 10.9.0.1:80 -z 10.9.1.1:20000-29999
< -P -t 10.9.0.2:80 -z 10.9.1.1:20000-29999
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat --toa 254
-P -t 10.9.0.1:80 -z 10.9.1.1:20000-29999
-A -t 10.9.0.2:80 -s wlc -p 300 --fullnat
-P -t 10.9.0.2:80 -z 10.9.1.1:20000-29999
$ ipvsadm -C
# what is still missing at the end of a file is said once
$ ipvsadm -R
< -A -t 10.9.0.1:80 -s rr --fullnat
< -E -t 10.9.0.2:80 --fullnat
< -P -t 10.9.0.1:80 -z 10.9.1.1-4
Note: IPVS does not have the service -t 10.9.0.2:80 now
Note: 3 of 4 local addresses are not addresses of this host now; they will be used when they are
Warning: -t 10.9.0.2:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.2:80 -z ADDRESS'
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1-10.9.1.4
-E -t 10.9.0.2:80 --fullnat
